"""Views at test time: weights that sum to one, and the mean they stand for."""

import pytest
import torch
from torch import nn

from skipwise.data import CutMix, Cutout, Flip, Mixup, Views, check_pictures, mean_over_views
from skipwise.randomness import seeded
from skipwise.shapes import Ends

PICTURES = torch.rand(4, 3, 8, 6, generator=torch.Generator().manual_seed(0))
with seeded("linear"):
    LINEAR = nn.Sequential(nn.Flatten(), nn.Linear(144, 5)).requires_grad_(False)


def test_the_mirror_image_counts_as_much_as_the_picture():
    wanted = (LINEAR(PICTURES) + LINEAR(PICTURES.flip(3))) / 2
    found = mean_over_views(LINEAR, PICTURES, Views())
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-6)


def test_moved_views_are_shifts_with_mirrored_borders_and_weigh_a_quarter():
    views = list(Views(flip=False, shift=2).of(PICTURES))
    assert [weight for weight, _ in views] == [0.5, 0.25, 0.25]
    assert torch.equal(views[1][1][:, :, 2:, 2:], PICTURES[:, :, :-2, :-2])
    assert torch.equal(views[1][1][:, :, 1, 2:], PICTURES[:, :, 1, :-2])
    assert torch.equal(views[2][1][:, :, :-2, :-2], PICTURES[:, :, 2:, 2:])


@pytest.mark.parametrize("views", [Views(), Views(shift=1), Views(flip=False, shift=3)], ids=repr)
def test_weights_sum_to_one(views: Views):
    assert sum(weight for weight, _ in views.of(PICTURES)) == 1


def test_views_without_a_meaning_are_refused():
    with pytest.raises(ValueError, match="a single view is what is shown anyway"):
        Views(flip=False)
    with pytest.raises(ValueError, match="cannot move a picture of 8×6 pixels by 6"):
        list(Views(shift=6).of(PICTURES))
    with pytest.raises(ValueError, match="views show pictures"):
        list(Views().of(torch.rand(3, 7)))


def test_what_moves_pixels_is_refused_where_targets_are_pictures_too():
    ends = Ends(inputs=(1, 8, 8), outputs=(1, 8, 8))
    for augmentation, views in (((Flip(),), None), ((CutMix(),), None), ((), Views())):
        with pytest.raises(ValueError, match=r"would move what is in a picture and leave its"):
            check_pictures(augmentation, views, ends)
    check_pictures((Mixup(), Cutout()), None, ends)  # one mixes both alike, one moves nothing
    check_pictures((Flip(), CutMix()), Views(), Ends(inputs=(1, 8, 8), outputs=(3,)))
