"""Folding of norms: the same function, and none folded that may not be."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from skipwise.exports import fold
from skipwise.networks import preresnet20, resnet20, resnet50
from tests.references import SMALL, close, randomised


@pytest.mark.parametrize(
    ("description", "folded", "kept"),
    [
        (replace(resnet20(), blocks=(1, 1)), 5, 0),
        (replace(resnet50(), blocks=(1, 1)), 9, 0),
        # Those that read a sum stay; the first block's reads the stem's convolution and folds.
        (replace(preresnet20(), blocks=(1, 1)), 3, 2),
    ],
)
def test_all_norms_of_v1_fold_and_those_inside_the_branches_of_v2(description, folded, kept):
    model = randomised(replace(description, width=4).build(SMALL)).eval()
    x = torch.randn(3, *SMALL.inputs, dtype=torch.float64)
    same, found = fold(model, x)
    assert (found.folded, found.kept) == (folded, kept)
    close(same(x), model(x))
    assert found.difference < 1e-10


def test_a_folded_convolution_is_the_formula():
    model = randomised(nn.Sequential(nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3, eps=0.2))).eval()
    same, _ = fold(model, torch.randn(2, 2, 4, 4, dtype=torch.float64))
    p, folded = model.state_dict(), same.state_dict()
    scale = p["1.weight"] / (p["1.running_var"] + 0.2).sqrt()
    close(folded["0.weight"], p["0.weight"] * scale.view(-1, 1, 1, 1))
    close(folded["0.bias"], (p["0.bias"] - p["1.running_mean"]) * scale + p["1.bias"])
    assert set(folded) == {"0.weight", "0.bias"}
    assert len(p) == 7  # what was given stays as it is


def test_the_difference_is_the_largest_on_either_side():
    for seed in range(4):
        layer = randomised(nn.Sequential(nn.Conv1d(2, 1, 1), nn.BatchNorm1d(1)), seed=seed)
        model, x = layer.float().eval(), torch.randn(1, 2, 9)
        same, found = fold(model, x)
        change = (same(x) - model(x)).abs().tolist()
        assert found.difference == max(number for row in change[0] for number in row) > 0


class Reads(nn.Module):
    """A user's own module whose layer is used twice, or read by the sum too."""

    def __init__(self, how: str):
        super().__init__()
        self.how, self.layer, self.norm = how, nn.Linear(4, 4), nn.BatchNorm1d(4)

    def forward(self, x):
        y = self.layer(x)
        if self.how == "alone":
            return self.norm(y)
        return self.norm(y) + y if self.how == "read by others" else self.norm(self.layer(y))


@pytest.mark.parametrize(("how", "folded"), [("alone", 1), ("read by others", 0), ("twice", 0)])
def test_a_layer_keeps_its_norm_unless_it_is_alone_with_it(how: str, folded: int):
    model, x = randomised(Reads(how)).eval(), torch.randn(3, 4, dtype=torch.float64)
    same, found = fold(model, x)
    assert found.folded == folded
    close(same(x), model(x))


class Sequences(nn.Module):
    """A linear map of sequences, and a norm that goes by their second axis."""

    def __init__(self, length: int, channels: int):
        super().__init__()
        self.layer, self.norm = nn.Linear(4, channels), nn.BatchNorm1d(length)

    def forward(self, x):
        return self.norm(self.layer(x))


@pytest.mark.parametrize("channels", [3, 5])
def test_a_norm_along_another_axis_than_the_layers_stays(channels: int):
    model = randomised(Sequences(3, channels)).eval()
    x = torch.randn(6, 3, 4, dtype=torch.float64)
    same, found = fold(model, x)
    assert (found.folded, found.kept) == (0, 1)
    close(same(x), model(x))


@pytest.mark.parametrize(
    ("layer", "norm", "shape"),
    [
        (nn.Linear(4, 3), nn.BatchNorm1d(3, affine=False), (6, 4)),
        (nn.Linear(4, 3, bias=False), nn.BatchNorm1d(3), (6, 4)),
        (nn.Conv1d(4, 3, 1), nn.BatchNorm1d(3, affine=False), (6, 4, 3)),
    ],
    ids=str,
)
def test_a_norm_without_weights_folds_as_one_with_them(layer, norm, shape: tuple[int, ...]):
    model = randomised(nn.Sequential(layer, norm)).eval()
    x = torch.randn(*shape, dtype=torch.float64)
    same, found = fold(model, x)
    assert (found.folded, found.kept) == (1, 0)
    close(same(x), model(x))


class Renormed(nn.Module):
    """A user's own norm, which is none of torch's classes."""

    mean: torch.Tensor
    var: torch.Tensor

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.ones(3))
        self.register_buffer("var", torch.full((3,), 2.0))

    def forward(self, x):
        return nn.functional.batch_norm(x, self.mean, self.var)


def test_a_norm_of_a_class_of_ones_own_stays():
    model = nn.Sequential(nn.Linear(4, 3), Renormed(), nn.BatchNorm1d(3)).eval()
    x = torch.randn(6, 4)
    same, found = fold(model, x)
    assert (found.folded, found.kept) == (0, 1)
    close(same(x), model(x))


def test_a_norm_without_statistics_stays():
    model = nn.Sequential(nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3, track_running_stats=False)).eval()
    x = torch.randn(4, 2, 4, 4)
    same, found = fold(model, x)
    assert (found.folded, found.kept) == (0, 1)
    close(same(x), model(x))


def test_what_was_folded_is_said():
    _, found = fold(
        randomised(replace(preresnet20(), blocks=(1, 1), width=4).build(SMALL)),
        torch.randn(2, *SMALL.inputs, dtype=torch.float64),
    )
    assert "3 of 5 BatchNorms folded into the layer before" in str(found)
    assert "2 stay, for none stands right behind a layer of its own" in str(found)
    assert found.difference < 1e-10
    assert str(fold(nn.Linear(2, 2), torch.randn(1, 2))[1]) == "there is no BatchNorm to fold"
