"""What a layer expects is told where it differs from what it gets, and nothing else is."""

import pytest
import torch
from torch import nn

from skipwise.networks import check_reads
from skipwise.shapes import Ends

ENDS = Ends(inputs=(1, 8, 8), outputs=(10,))


def look(*layers: nn.Module) -> nn.Module:
    model = nn.Sequential(*layers)
    check_reads(model, ENDS, of="own:net", device=torch.device("cpu"))
    return model


@pytest.mark.parametrize(
    ("layers", "told"),
    [
        ([nn.Conv2d(3, 4, 3)], r"'0' \(Conv2d\) expects 3 channels and gets 1"),
        ([nn.Flatten(), nn.Linear(100, 10)], r"'1' \(Linear\) expects 100 features and gets 64"),
        ([nn.Conv2d(1, 4, 3), nn.BatchNorm2d(5)], "expects 5 channels and gets 4"),
        ([nn.Conv2d(1, 4, 11, padding=1)], "needs at least 9×9 points of space and gets 8×8"),
        ([nn.MaxPool2d(9)], "needs at least 9×9 points of space and gets 8×8"),
        ([nn.Flatten(), nn.Conv2d(1, 4, 3)], r"expects examples of 3 axes.* and gets \(64,\)"),
    ],
)
def test_the_layer_is_named_with_what_it_expects_and_gets(layers: list[nn.Module], told: str):
    with pytest.raises(ValueError, match=told):
        look(*layers)


class Raising(nn.Module):
    def forward(self, x):
        raise ValueError("for a reason of its own")


def test_what_is_not_understood_is_left_to_the_training():
    look(Raising(), nn.Linear(3, 3))


def test_looking_changes_nothing():
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Dropout())
    model[2].eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    check_reads(model, ENDS, of="own:net", device=torch.device("cpu"))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert [m.training for m in model] == [True, True, False]
    assert not any(m._forward_pre_hooks or m._forward_hooks for m in model)
