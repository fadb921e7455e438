"""SOAP and Prodigy against their papers, and what happens without the package."""

import sys

import numpy as np
import pytest
import torch
from torch import nn

from skipwise.strategies import ADOPT, LARS, SOAP, Lion, Prodigy, parameter_groups
from skipwise.strategies.optimisers.borrowed import loading
from tests.references import close
from tests.strategies.optimisers import formulas
from tests.strategies.optimisers.test_formulas import DECAY, problem, trained


@pytest.mark.parametrize("every", [100, 3])
def test_soap_is_its_paper(every: int):
    rule = SOAP(beta1=0.8, beta2=0.9, epsilon=1e-3, every=every)
    noise = torch.Generator().manual_seed(1)
    drawn = [
        {"filters": torch.randn(3, 2, 2, 2, generator=noise, dtype=torch.float64),
         "vector": torch.randn(5, generator=noise, dtype=torch.float64)}
        for _ in range(13)
    ]  # fmt: skip
    start, gradients, rates = drawn[0], drawn[1:], [0.01 * t for t in range(1, 13)]
    found, _ = trained(rule, start, gradients, rates)
    for name, parameter in found.items():
        numbers = [step[name].numpy() for step in gradients]
        wanted = torch.from_numpy(
            formulas.soap(start[name].numpy(), numbers, rates, DECAY[name], rule)
        )
        if every == 100:
            close(parameter.detach(), wanted)
        else:  # the package turns the basis in float32
            close(parameter.detach().float(), wanted.float())


@pytest.mark.parametrize(
    "rule",
    [
        Prodigy(start=1e-3, epsilon=1e-3),
        Prodigy(start=1e-3, coefficient=2.0, safeguarded=False, corrected=True, beta2=0.9),
    ],
    ids=["plain", "corrected"],
)
def test_prodigy_is_its_paper(rule: Prodigy):
    start, gradients, small = problem(20)
    rates = [8 * rate for rate in small]
    pulled = [{n: 0.1 * g + start[n] for n, g in step.items()} for step in gradients]  # d grows
    found, optimiser = trained(rule, start, pulled, rates)
    numbers = [{n: g.numpy() for n, g in step.items()} for step in pulled]
    wanted = formulas.prodigy({n: w.numpy() for n, w in start.items()}, numbers, rates, DECAY, rule)
    assert optimiser.param_groups[0]["d"] > 1.5 * rule.start
    for name, parameter in found.items():  # the package adds r and s up in float32
        close(parameter.detach().float(), torch.from_numpy(np.asarray(wanted[name])).float())


def test_prodigy_refuses_rates_of_groups():
    groups = parameter_groups(nn.Linear(2, 2), 0.0, layer_decay=0.5, distances={"weight": 1})
    with pytest.raises(ValueError, match="one rate for all parameters; leave layer_decay"):
        Prodigy().build(groups, rate=1.0)


def test_lars_refuses_to_let_vectors_decay():
    module = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    groups = parameter_groups(module, 0.1, decay_factors={"bias": 1.0})
    with pytest.raises(ValueError, match=r"no vectors decay; leave bias out of strategy"):
        LARS().build(groups, rate=0.1)


def test_adopt_by_hand():
    """g = 1, 2, −4: nothing; m = 0.1·1, since 2 > 1ᵃ; m = 0.09 − 0.1·2ᵃ, since 4/√1.0003 > 2ᵃ."""
    weight = nn.Parameter(torch.zeros((), dtype=torch.float64))
    optimiser = ADOPT().build([{"params": [weight], "weight_decay": 0.0}], rate=1.0)
    seen = []
    for gradient in (1.0, 2.0, -4.0):
        weight.grad = torch.tensor(gradient, dtype=torch.float64)
        optimiser.step()
        seen.append(weight.item())
    assert seen == pytest.approx([0.0, -0.1, -0.19 + 0.1 * 2**0.25], rel=1e-12)


@pytest.mark.parametrize(("found", "is_old"), [("3.10.0", True), ("4.0.2", True), ("4.10", False)])
def test_an_old_package_is_refused(found: str, is_old: bool, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(loading, "version", lambda name: found)
    groups = parameter_groups(nn.Linear(2, 2), 0.0)
    if not is_old:
        assert Lion().build(groups, rate=0.1)
        return
    with pytest.raises(ValueError, match=rf"lion .*version {found} computes .*\[optimizers\]"):
        Lion().build(groups, rate=0.1)


def test_a_missing_package_is_one_sentence_with_the_line(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "pytorch_optimizer", None)
    with pytest.raises(ValueError, match=r'lion .*pip install -e "\.\[optimizers\]"'):
        Lion().build(parameter_groups(nn.Linear(2, 2), 0.0), rate=0.1)
