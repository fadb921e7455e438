"""Where numbers stop being finite is found in any model, which stays as it was."""

import math

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import resnet18

from skipwise.diagnosis import Level
from skipwise.diagnosis.finiteness import finiteness
from skipwise.diagnosis.rules import finite
from skipwise.networks import build_network, resnet20
from tests.analysis.test_untouched import everything, same
from tests.references import SMALL

X = torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([0, 1, 2, 3, 4, 0])


def network() -> nn.Module:
    torch.manual_seed(0)
    return build_network(resnet20(), SMALL)


def test_a_healthy_network_has_nothing_to_show():
    found = finiteness(network(), (X, LABELS))
    for name in ("NaN in output", "infinite in output", "bad in weights"):
        assert set(found[name]) == {0.0}
    assert all(not bad or math.isnan(bad) for bad in found["bad in gradient"])
    wanted = nn.functional.cross_entropy(network()(X), LABELS).item()
    assert found.figures["loss"] == pytest.approx(wanted, rel=1e-6)
    assert finite(finiteness=found).level is Level.PASS


def test_the_share_is_that_of_the_numbers():
    x = X.clone()
    x[0, 0, 0, :3] = math.nan
    assert finiteness(network(), (x, LABELS)).figures["bad in inputs"] == 3 / x.numel()


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_bad_weight_is_named_with_its_module(value: float):
    model = network()
    with torch.no_grad():
        name = [n for n, p in model.named_parameters() if p.dim() == 4][9]
        weight = model.get_parameter(name)
        weight[0, 0, 0, 0] = value
    found = finiteness(model, (X, LABELS))
    module = name.removesuffix(".weight")
    row = found.rows.index(module)
    assert found["bad in weights"][row] == 1 / weight.numel()
    verdict = finite(finiteness=found)
    assert verdict.level is Level.FAIL
    assert verdict.where == (module,)


class Overflowing(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * 1e38 * 1e38


def test_the_first_module_that_overflows_is_named_through_in_place_operations():
    torch.manual_seed(0)
    parts = [nn.Linear(4, 4), nn.ReLU(inplace=True), Overflowing(), nn.Linear(4, 5)]
    found = finiteness(nn.Sequential(*parts), (torch.ones(6, 4), LABELS))
    verdict = finite(finiteness=found)
    assert verdict.level is Level.FAIL
    assert verdict.where[0] == "2"
    assert verdict.numbers["modules with bad weights"] == 0


def test_a_sum_that_overflows_is_named_by_its_block():
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.branch = nn.Identity()

        def forward(self, x: Tensor) -> Tensor:
            return x + 3e38 * torch.sign(self.branch(x)) + 3e38 * torch.sign(x)

    found = finiteness(nn.Sequential(nn.Flatten(), Block(), nn.Linear(192, 5)), (X, LABELS))
    assert finite(finiteness=found).where[0] == "1"


def test_a_module_that_runs_twice_is_two_rows():
    torch.manual_seed(0)
    x = nn.functional.interpolate(X, size=32)
    found = finiteness(resnet18(num_classes=5), (x, LABELS))
    assert "layer1.0.relu (2)" in found.rows
    assert finite(finiteness=found).level is Level.PASS


def test_a_gradient_that_breaks_behind_a_finite_loss_is_named_from_the_end():
    class Root(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.sqrt(x - x)

    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4), Root(), nn.Linear(4, 5))
    verdict = finite(finiteness=finiteness(model, (torch.ones(6, 4), LABELS)))
    assert verdict.level is Level.FAIL
    assert verdict.where == ("1", "0")


def test_a_mask_of_infinities_is_no_fault():
    class Masked(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.masked_fill(torch.arange(4) > 2, -math.inf)

    model = nn.Sequential(nn.Linear(4, 4), Masked(), nn.Softmax(1), nn.Linear(4, 5))
    verdict = finite(finiteness=finiteness(model, (torch.ones(6, 4), LABELS)))
    assert verdict.level is Level.WARN


def test_running_statistics_count_and_other_buffers_do_not():
    model = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(192), nn.Linear(192, 5))
    model.register_buffer("mask", torch.full((3,), -math.inf))
    assert finite(finiteness=finiteness(model, (X, LABELS))).level is Level.PASS
    model.get_buffer("1.running_var")[0] = math.inf
    assert finite(finiteness=finiteness(model, (X, LABELS))).where == ("1",)


def test_code_that_refuses_a_nan_ends_the_pass_but_not_the_measurement():
    def picky(output: Tensor, targets: Tensor) -> Tensor:
        if not output.isfinite().all():
            raise ValueError("no NaN, please")
        return nn.functional.cross_entropy(output, targets)

    model = nn.Sequential(nn.Flatten(), nn.Linear(192, 5), Overflowing())
    found = finiteness(model, (X, LABELS), picky)
    assert "no NaN, please" in found.notes[0]
    assert finite(finiteness=found).where[0] == "2"
    with pytest.raises(ValueError, match="please"):
        finiteness(nn.Sequential(nn.Flatten(), nn.Linear(192, 5)), (X, LABELS), refusing)


def refusing(output: Tensor, targets: Tensor) -> Tensor:
    raise ValueError("please")


@pytest.mark.parametrize("poison", [0.0, math.nan])
def test_the_model_is_as_it_was(poison: float):
    model = network()
    next(model.parameters()).requires_grad_(False)
    nn.functional.cross_entropy(model(X), LABELS).backward()
    before = everything(model)
    with torch.no_grad():
        first = finiteness(model, (X + poison, LABELS))
    assert same(everything(model), before)
    assert str(finiteness(model, (X + poison, LABELS))) == str(first)
