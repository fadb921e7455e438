"""What is chosen where the user does not choose, with a target and without."""

from dataclasses import replace
from typing import Any

import torch

from skipwise.data import AlternatingFlip, Dataset, Flip, Views
from skipwise.defaults import SMALL_FIRST, complete
from skipwise.networks import mlp, resnet8_w32, resnet20
from skipwise.shapes import Ends
from skipwise.strategies import finetuning, momentum, muon_triangle, nesterov, nesterov_triangle
from tests.references import rings

NONE: dict[str, Any] = {"network": None, "strategy": None}


def pictures(side: int = 16) -> Dataset:
    found = rings()
    inputs = torch.zeros(len(found.train), 3, side, side, dtype=torch.uint8)
    ends = Ends(inputs=(3, side, side), outputs=found.ends.outputs)
    assert len(inputs)
    return replace(found, ends=ends, augmentation=(Flip(),))


def test_without_a_target_there_are_ten_epochs_and_at_least_400_updates():
    chosen = complete(rings(), dict(NONE))  # 170 examples, 128 a batch
    assert (chosen["network"], chosen["strategy"]) == (resnet20(), nesterov())
    assert chosen["epochs"] == 302.0  # the next whole number over 400 · 128 / 170
    assert "doublings" not in chosen


def test_with_a_target_the_choices_are_quick_ones_that_may_double():
    chosen = complete(pictures(), {**NONE, "target": 0.9})
    assert (chosen["network"], chosen["strategy"]) == (resnet8_w32(), muon_triangle())
    assert (chosen["doublings"], chosen["views"]) == (5, Views())
    assert chosen["augmentation"] == (AlternatingFlip(), SMALL_FIRST)


def test_pictures_too_small_for_the_stride_keep_the_network_of_full_resolution():
    assert complete(pictures(8), {**NONE, "target": 0.9})["network"] == resnet20()


def test_muon_is_left_out_where_branches_are_not_known_or_weights_not_whole():
    for given in ({"network": mlp()}, {"network": None, "shard": True}):
        chosen = complete(pictures(), {**NONE, **given, "target": 0.9})
        assert chosen["strategy"] == nesterov_triangle()
        assert chosen["epochs"] >= 4


def test_what_was_chosen_stays():
    own = {"network": mlp(), "strategy": momentum(), "target": 0.9, "epochs": 2.0}
    chosen = complete(pictures(), own)
    assert chosen["network"] == mlp()
    assert chosen["strategy"] == momentum()
    assert chosen["epochs"] == 2.0
    assert "doublings" not in chosen


def test_weights_are_fine_tuned_also_towards_a_target():
    given = {**NONE, "target": 0.9, "weights": "some.safetensors"}
    assert complete(pictures(), given)["strategy"] == finetuning()
