"""Curvature, landscape and state leave no trace, repeat, and refuse in one sentence."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torchvision.models import resnet18

from skipwise import analysis
from skipwise.analysis import Measurement, Rule, weights_of
from skipwise.networks import preresnet20, resnet20
from skipwise.shapes import Ends
from tests.analysis.test_untouched import everything, same

X = torch.randn(6, 2, 8, 8, generator=torch.Generator().manual_seed(0))
BATCHES = [(X + n, torch.arange(6) % 3) for n in range(4)]


def block(channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, channels, 3, padding=1, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(inplace=True),
        nn.Dropout(0.2),
    )


def model_in_use() -> nn.Sequential:
    """In the middle of something: gradients, a frozen part, mixed modes, others' hooks."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(
            block(2), block(2), block(2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 3)
        )
        nn.functional.cross_entropy(model(X), BATCHES[0][1]).backward()
    model[0].eval().requires_grad_(False)
    model[1].register_forward_hook(lambda *_: None)
    return model


def shifted(model: nn.Module, amount: float) -> dict[str, torch.Tensor]:
    held = weights_of(model)
    return {n: t + amount * t.abs().cos() if t.is_floating_point() else t for n, t in held.items()}


Measure = Callable[..., Any]
EVERY: dict[str, Measure] = {
    "hessian_spectrum": lambda m, b, *a: analysis.hessian_spectrum(
        m, b, *a, probes=2, optimiser=Rule(rate=0.1)
    ),
    "hessian_density": lambda m, b, *a: analysis.hessian_density(m, b, *a, steps=4, probes=1),
    "batch_sharpness": analysis.batch_sharpness,
    "gradient_noise": analysis.gradient_noise,
    "step_quality": lambda m, b, *a: analysis.step_quality(m, b, *a, before=shifted(m, 0.01)),
    "line": lambda m, b, *a: analysis.line(m, b, *a, points=3),
    "plane": lambda m, b, *a: analysis.plane(m, b, *a, points=3, statistics="batch"),
    "barrier": lambda m, b, *a: analysis.barrier(
        m, b, *a, first=weights_of(m), second=shifted(m, 0.1), points=3, statistics="stored"
    ),
    "trajectory": lambda m, b, *a: analysis.trajectory(
        m, b, *a, checkpoints=[shifted(m, n * n) for n in (0.1, 0.3, 0.2)]
    ),
    "normalisation": analysis.normalisation,
    "scale_invariant_weights": analysis.scale_invariant_weights,
}
STATE: dict[str, Measure] = {
    "units": analysis.units,
    "state_ranks": analysis.state_ranks,
    "state_similarity": analysis.state_similarity,
    "linear_probes": analysis.linear_probes,
}


@pytest.mark.parametrize("name", [*EVERY, *STATE])
def test_everything_is_as_before_and_the_measurement_repeats(name: str):
    measure, model = (EVERY | STATE)[name], model_in_use()
    before = everything(model)
    first = measure(model, BATCHES)
    assert same(everything(model), before)
    torch.rand(5)
    assert str(measure(model, BATCHES)) == str(first)


@pytest.mark.parametrize("name", EVERY)
def test_everything_is_as_before_when_the_loss_fails_half_way(name: str):
    model, calls = model_in_use(), []
    before = everything(model)

    def failing(output: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        calls.append(torch.rand(1))
        if len(calls) > 2:
            raise RuntimeError("half-way")
        return nn.functional.cross_entropy(output, targets)

    with pytest.raises(RuntimeError, match="half-way"):
        EVERY[name](model, BATCHES, failing)
    assert same(everything(model), before)


@pytest.mark.parametrize("name", STATE)
def test_everything_is_as_before_when_the_model_fails_half_way(name: str):
    model = model_in_use()

    def failing(*_: Any) -> None:
        raise RuntimeError("half-way")

    model[2].register_forward_hook(failing)
    before = everything(model)
    with pytest.raises(ValueError, match="RuntimeError: half-way"):
        STATE[name](model, BATCHES)
    assert same(everything(model), before)


@pytest.mark.parametrize("name", [*EVERY, *STATE])
def test_weights_that_are_not_finite_are_named(name: str):
    model = model_in_use()
    with torch.no_grad():
        model[5].get_parameter("weight")[0, 0] = math.nan
    with pytest.raises(ValueError, match=r"5\.weight holds numbers that are not finite"):
        (EVERY | STATE)[name](model, BATCHES)


DIFFERENTIATING = ("hessian_spectrum", "hessian_density", "batch_sharpness", "gradient_noise")


@pytest.mark.parametrize("name", [*DIFFERENTIATING, "step_quality", "line", "normalisation"])
def test_a_loss_that_is_not_one_number_is_refused(name: str):
    each = nn.CrossEntropyLoss(reduction="none")
    with pytest.raises(ValueError, match=r"loss must be one number, got \(6,\)"):
        EVERY[name](model_in_use(), BATCHES, each)


@pytest.mark.parametrize("name", DIFFERENTIATING)
def test_a_model_without_anything_that_learns_is_refused(name: str):
    model = model_in_use().requires_grad_(False)
    with pytest.raises(ValueError, match="Sequential has no parameters that learn"):
        EVERY[name](model, BATCHES)


@pytest.mark.parametrize("name", [*DIFFERENTIATING, "normalisation"])
def test_a_batch_of_one_has_no_statistics(name: str):
    ones = [(x[:1].flatten(1), y[:1]) for x, y in BATCHES]
    model = nn.Sequential(nn.Linear(ones[0][0].shape[1], 3), nn.BatchNorm1d(3))
    with pytest.raises(ValueError, match=r"one example has no statistics for 1, a BatchNorm"):
        EVERY[name](model, ones)


def test_a_pattern_that_fits_nothing_and_no_batch_at_all():
    with pytest.raises(ValueError, match=r"no parameter that learns fits 'x\*'; there are 1\.0"):
        analysis.hessian_spectrum(model_in_use(), BATCHES, of="x*")
    with pytest.raises(ValueError, match="there is no batch to measure on"):
        analysis.units(model_in_use(), [])
    with pytest.raises(TypeError, match=r"model must be a torch\.nn\.Module, got int"):
        analysis.units(3, BATCHES)  # pyright: ignore[reportArgumentType]


def test_a_model_in_evaluation_mode_is_measured_in_training_mode_unless_told_otherwise():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(block(2)[:3], nn.Flatten(), nn.Linear(128, 3))
    found = {
        (mode, training): analysis.hessian_spectrum(
            model.train(mode), BATCHES[0], probes=0, training=training
        )["value"]
        for mode in (True, False)
        for training in (True, False)
    }
    assert found[True, True] == found[False, True] != found[True, False] == found[False, False]


def test_batches_come_from_a_loader_in_a_list_or_alone():
    model = model_in_use()
    data = torch.utils.data.TensorDataset(X, BATCHES[0][1])
    loader = torch.utils.data.DataLoader(data, batch_size=3)
    parts = [(X[:3], BATCHES[0][1][:3]), (X[3:], BATCHES[0][1][3:])]
    assert analysis.batch_sharpness(model, loader) == analysis.batch_sharpness(model, parts)
    alone = analysis.units(model, list(parts[0]))
    assert alone.figures["examples"] == 3


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "torchvision": lambda: resnet18(num_classes=3),
    "ours": lambda: resnet20().build(Ends(inputs=(3, 16, 16), outputs=(3,))),
    "ours, pre-activation": lambda: preresnet20().build(Ends(inputs=(3, 16, 16), outputs=(3,))),
    "transformer": lambda: nn.Sequential(
        nn.Conv2d(3, 8, 8, 8),
        nn.Flatten(2),
        Tokens(),
        *(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True) for _ in range(3)),
        First(),
        nn.Linear(8, 3),
    ),
}


class Tokens(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mT


class First(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, 0]


@pytest.mark.parametrize("name", NETWORKS)
def test_any_network_is_measured(name: str):
    model = NETWORKS[name]()
    batches = [(torch.randn(6, 3, 16, 16), torch.arange(6) % 3) for _ in range(2)]
    for measure in (*STATE.values(), analysis.batch_sharpness):
        found = measure(model, batches)
        assert isinstance(found, Measurement)
        assert any(map(math.isfinite, next(iter(found.columns.values()))))
    if name != "torchvision":  # of eleven million parameters, which takes its time
        spectrum = analysis.hessian_spectrum(model, batches[0], probes=0, of="*weight")
        assert spectrum["value"][0] > 0
    blocks = {"torchvision": 8, "transformer": 3}.get(name, 9)
    assert len(analysis.state_ranks(model, batches).rows) == blocks
