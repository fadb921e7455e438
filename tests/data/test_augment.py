"""Augmentations against loops over single pictures; noise that follows the example."""

import torch

from skipwise.data import Batches, Flip, PadCrop
from skipwise.data.augment import LANE
from skipwise.randomness import example_keys, uniform
from tests.references import rings

PICTURES = torch.randint(
    0, 256, (64, 3, 9, 7), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
)
KEYS = example_keys(0, 5, torch.arange(64))
CPU = torch.device("cpu")


def test_pad_and_crop_is_a_shift_with_zeros_of_each_picture():
    found = PadCrop(padding=2).apply(PICTURES, KEYS)
    down, right = ((uniform(KEYS, LANE + n) * 5).long().tolist() for n in range(2))
    for n, picture in enumerate(PICTURES):
        padded = torch.zeros(3, 13, 11, dtype=torch.uint8)
        padded[:, 2:-2, 2:-2] = picture
        assert torch.equal(found[n], padded[:, down[n] : down[n] + 9, right[n] : right[n] + 7])
    assert set(down) == set(right) == {0, 1, 2, 3, 4}


def test_flip_mirrors_about_half_and_changes_nothing_else():
    found = Flip().apply(PICTURES, KEYS)
    mirrored = [torch.equal(f, p.flip(2)) for f, p in zip(found, PICTURES, strict=True)]
    kept = [torch.equal(f, p) for f, p in zip(found, PICTURES, strict=True)]
    assert all(a != b for a, b in zip(mirrored, kept, strict=True))
    assert 12 < sum(mirrored) < 52  # five standard deviations of Binomial(64, ½)


def test_noise_follows_the_example_not_the_batch():
    halves = torch.cat([
        PadCrop(padding=2).apply(PICTURES[a:b], KEYS[a:b]) for a, b in ((0, 20), (20, 64))
    ])
    assert torch.equal(halves, PadCrop(padding=2).apply(PICTURES, KEYS))


def keys_of(batches: Batches, step: int) -> torch.Tensor:
    keys = batches[step].keys
    assert keys is not None
    return keys


def test_noise_changes_with_the_step_and_the_seed():
    data, noise = rings(), (PadCrop(padding=2),)
    first, again, other = (
        Batches(data.train, data.preprocessing, size=16, seed=s, augmentation=noise, device=CPU)
        for s in (0, 0, 1)
    )
    assert torch.equal(first[3].inputs, again[3].inputs)
    assert not torch.equal(keys_of(first, 3), keys_of(first, 4))
    assert not torch.equal(keys_of(first, 3), keys_of(other, 3))


def test_uniform_numbers_are_uniform_and_lanes_are_independent():
    keys = example_keys(1, 2, torch.arange(100_000))
    a, b = uniform(keys, 0).double(), uniform(keys, 1).double()
    error = 1 / len(keys) ** 0.5
    assert abs(a.mean() - 0.5) < 5 * error * 12**-0.5
    assert abs(a.var() - 1 / 12) < 5 * error * 180**-0.5
    assert abs(torch.corrcoef(torch.stack([a, b]))[0, 1]) < 5 * error
    assert abs(torch.corrcoef(torch.stack([a[1:], a[:-1]]))[0, 1]) < 5 * error
    counts = torch.histc(a, 16, 0, 1)
    assert ((counts - 6250) ** 2 / 6250).sum() < 45  # χ² with 15 degrees of freedom, p ≈ 1e-4
