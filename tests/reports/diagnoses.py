"""Diagnoses for the page: measurements really made of small networks, verdicts written by hand."""

from functools import cache
from typing import Any

import torch
from torch import nn

from skipwise.analysis import (
    Measurement,
    gradient_split,
    hessian_density,
    jacobian_density,
    lesions,
    path_spectrum,
    plane,
    signal,
    state_similarity,
    units,
)
from skipwise.connections import Additive
from skipwise.diagnosis import Diagnosis, Level, Verdict
from skipwise.networks import build_network, resnet20
from tests.analysis.models import along, residual_stack
from tests.references import SMALL

VERDICTS = (
    Verdict(
        rule="V1",
        name="gradient explodes or vanishes with depth",
        level=Level.PASS,
        says="The gradient's norm changes by a factor of 1.4 from the last block to the first.",
        numbers={"first over last": 1.3972610284},
        reference="mean-field theory: a factor of 1.5",
        band="1e-3 to 70",
        source="Schoenholz et al. (2017), eq. 18",
    ),
    Verdict(
        rule="V2",
        name="rate above the limit of stability",
        level=Level.FAIL,
        says="The curvature is 4.812 times what the rate can bear, and the loss rises.",
        numbers={"curvature / limit": 4.81234567, "first loss": 1.61, "last loss": 38.204},
        reference="2 / rate = 20",
        band="below 1",
        where=tuple(f"trunk.blocks.{n}.branch.conv1.weight" for n in range(9)),
        cure="a lower strategy.peak_lr; skipwise find-rate DATA looks for it",
        source="Cohen et al. (2021), section 3",
        confidence="two witnesses agree",
    ),
    Verdict(
        rule="V7",
        name="blocks that are ignored",
        level=Level.WARN,
        says="2 of 9 blocks change nothing when they are left out.",
        numbers={"ignored": 2, "share": 2 / 9},
        band="less than 10 % of the blocks",
        where=("trunk.blocks.7", "trunk.blocks.8"),
        cure="a shallower network, or --set network.connection=SkipInit",
        source="Veit et al. (2016), figure 3",
        confidence="256 examples; more would make it surer",
    ),
    Verdict(
        rule="V8",
        name="silent by design",
        level=Level.INFO,
        says="All branches begin at zero, as ReZero wants it.",
        source="Bachlechner et al. (2021)",
    ),
    Verdict(
        rule="V12",
        name="batch size",
        level=Level.UNKNOWN,
        says="The noise of the gradient was not measured.",
        numbers={"noise scale": float("nan")},
        source="McCandlish et al. (2018)",
    ),
)


@cache
def real() -> Diagnosis:
    """Measure a small residual network and a plain one."""
    torch.manual_seed(0)
    network = build_network(resnet20(), SMALL).train()
    x, y = torch.randn(16, 3, 8, 8), torch.arange(16) % 5
    batch = (x, y)
    chain = nn.Sequential(*(nn.Sequential(nn.Linear(64, 64), nn.ReLU()) for _ in range(24)))
    flat = (torch.randn(16, 64), y)
    sums = residual_stack(32, 16, Additive(scale=16**-0.5))
    made: dict[str, Measurement] = {
        "signal": signal(network, batch),
        "signal, plain": signal(chain, flat),
        "gradient split": gradient_split(network, batch),
        "path spectrum": path_spectrum(network, batch),
        "lesions": lesions(network, batch),
        "units": units(network, batch),
        "state similarity": state_similarity(network, batch),
        "jacobian density": jacobian_density(sums, (flat[0][:, :32], flat[0][:, 32:]), along),
        "hessian density": hessian_density(chain, [flat]),
        "loss over a plane": plane(chain, [flat], points=5),
    }
    return Diagnosis(
        verdicts=VERDICTS,
        measurements=made,
        facts={
            "model": "Network",
            "parameters": sum(p.numel() for p in network.parameters()),
            "blocks": tuple(f"trunk.blocks.{n}" for n in range(9)),
            "trained": False,
            "rate": None,
            "run": "runs/digits-resnet20-momentum-1",
            "seconds": 12.3,
            "seconds by measurement": {name: 1.25 for name in made},
            "versions": {"skipwise": "0.1", "torch": torch.__version__},
        },
        failed={"linear probes": "left out: 61 s of 60 s were used; --deep gives 600"},
    )


def strange() -> dict[str, Any]:
    """Give a diagnosis with all that is unusual, as JSON holds it."""
    bad = float("nan")
    name = "<b>bold</b>&<script>alert(1)</script>"
    long = tuple(f"encoder.layers.{n}.attention.projection.weight" for n in range(200))
    made = {
        "one row": Measurement(
            name="one row", formula="x", source="s", rows=("only",), columns={"x": (1.5,)}
        ),
        "nothing known": Measurement(
            name="nothing known",
            formula="x",
            source="s",
            rows=("a", "b"),
            columns={"x": (bad, bad)},
        ),
        "no row": Measurement(name="no row", formula="x", source="s", rows=(), columns={"x": ()}),
        name: Measurement(
            name=name,
            formula=name,
            source=name,
            of=name,
            rows=long,
            columns={
                name: tuple(bad if n % 50 == 7 else 10.0 ** (n / 10 - 12) for n in range(200)),
                "other": tuple(float(n - 100) for n in range(200)),
            },
            figures={name: float("inf")},
            notes=(name,),
            logarithmic=True,
        ),
    }
    verdict = Verdict(
        rule="V0", name=name, level=Level.FAIL, says=name, source=name, where=(name,), cure=name,
        numbers={name: bad}, reference=name, band=name, confidence=name,
    )  # fmt: skip
    facts = {"model": name, "seconds": None, "blocks": [name], "nested": {name: {"deep": [1, bad]}}}
    return Diagnosis(
        verdicts=(verdict,), measurements=made, facts=facts, failed={name: name}
    ).as_plain()
