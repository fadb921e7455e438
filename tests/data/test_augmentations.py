"""Augmentations against loops over single pictures; noise that follows the example."""

import math
from itertools import pairwise

import pytest
import torch
from scipy import stats
from torch.nn.functional import one_hot

from skipwise.data import (
    AlternatingFlip,
    Augmentation,
    Batches,
    CutMix,
    Cutout,
    Draw,
    Flip,
    Mixing,
    Mixup,
    PadCrop,
    ProgressiveResize,
    QuarterTurn,
    RandAugment,
    RandomErasing,
    RandomResizedCrop,
    TrivialAugment,
)
from skipwise.randomness import example_keys, uniform
from tests.references import close, rings

COUNT = 64
PICTURES = torch.randint(
    0, 256, (COUNT, 3, 9, 7), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
)
SQUARE = PICTURES[:, :, :7]
CPU = torch.device("cpu")


def a_draw(count: int = COUNT, passes: int = 0) -> Draw:
    rows = torch.arange(count)
    return Draw(
        keys=example_keys(0, 5, rows),
        own=example_keys(0, -1, rows),
        passes=torch.full((count,), passes),
    )


DRAW = a_draw()


def some(draw: Draw, start: int, end: int) -> Draw:
    return Draw(keys=draw.keys[start:end], own=draw.own[start:end], passes=draw.passes[start:end])


def test_pad_and_crop_is_a_shift_with_zeros_of_each_picture():
    found = PadCrop(padding=2).apply(PICTURES, DRAW)
    down, right = ((DRAW.uniform(n) * 5).long().tolist() for n in range(2))
    for n, picture in enumerate(PICTURES):
        padded = torch.zeros(3, 13, 11, dtype=torch.uint8)
        padded[:, 2:-2, 2:-2] = picture
        assert torch.equal(found[n], padded[:, down[n] : down[n] + 9, right[n] : right[n] + 7])
    assert set(down) == set(right) == {0, 1, 2, 3, 4}


def test_a_mirrored_border_repeats_the_pixels_next_to_the_edge():
    found = PadCrop(padding=1, border="reflect").apply(PICTURES, DRAW)
    down, right = ((DRAW.uniform(n) * 3).long().tolist() for n in range(2))
    for n, picture in enumerate(PICTURES):
        rows = [abs(row + down[n] - 1) for row in range(9)]
        columns = [abs(column + right[n] - 1) for column in range(7)]
        rows, columns = ([2 * (size - 1) - i if i >= size else i for i in places]
                         for places, size in ((rows, 9), (columns, 7)))  # fmt: skip
        assert torch.equal(found[n], picture[:, rows][:, :, columns])


def test_flip_mirrors_about_half_and_changes_nothing_else():
    found = Flip().apply(PICTURES, DRAW)
    mirrored = [torch.equal(f, p.flip(2)) for f, p in zip(found, PICTURES, strict=True)]
    kept = [torch.equal(f, p) for f, p in zip(found, PICTURES, strict=True)]
    assert all(a != b for a, b in zip(mirrored, kept, strict=True))
    assert 12 < sum(mirrored) < 52  # five standard deviations of Binomial(64, ½)


def which(found: torch.Tensor, kinds: list[torch.Tensor]) -> list[int]:
    """Say for each picture which of the changed forms it has; exactly one."""
    matches = [[torch.equal(f, kind[n]) for kind in kinds] for n, f in enumerate(found)]
    assert all(sum(row) == 1 for row in matches)
    return [row.index(True) for row in matches]


def test_a_vertical_flip_gives_all_four_mirror_images_and_turns_all_eight():
    mirrors = [PICTURES.flip(axes) for axes in ([], [3], [2], [2, 3])]
    assert set(which(Flip(vertical=True).apply(PICTURES, DRAW), mirrors)) == {0, 1, 2, 3}
    turns = [torch.rot90(SQUARE, k, (2, 3)) for k in range(4)]
    turned = which(QuarterTurn().apply(SQUARE, DRAW), turns)
    assert all(turned.count(k) > 4 for k in range(4))  # 16 expected, 3.5 standard deviations less


def test_alternating_flip_shows_both_sides_of_each_picture_in_two_passes():
    kinds = [PICTURES, PICTURES.flip(3)]
    seen = [which(AlternatingFlip().apply(PICTURES, a_draw(passes=n)), kinds) for n in range(4)]
    assert seen[0] == seen[2]
    assert seen[1] == seen[3] == [1 - side for side in seen[0]]
    assert 12 < sum(seen[0]) < 52


def test_batches_count_the_passes_of_each_example():
    data = rings(50)
    batches = Batches(
        data.train,
        data.preprocessing,
        size=len(data.train) - 1,
        seed=0,
        augmentation=(AlternatingFlip(),),
        device=CPU,
    )
    sides: dict[int, list[torch.Tensor]] = {}
    for step in range(2 * len(data.train)):
        batch = batches[step]
        for row, picture in zip(batch.index.tolist(), batch.inputs, strict=True):
            sides.setdefault(row, []).append(picture)
    for views in sides.values():
        assert all(torch.equal(a, b.flip(2)) for a, b in pairwise(views))


def test_cutout_blackens_a_square_about_its_middle_and_nothing_else():
    bright = PICTURES.clamp(min=1)
    found = Cutout(side=4).apply(bright, DRAW)
    rows, columns = (DRAW.uniform(8) * 9).long().tolist(), (DRAW.uniform(9) * 7).long().tolist()
    for n, picture in enumerate(bright):
        wanted = picture.clone()
        wanted[:, max(rows[n] - 2, 0) : rows[n] + 2, max(columns[n] - 2, 0) : columns[n] + 2] = 0
        assert torch.equal(found[n], wanted)


def test_random_erasing_blackens_one_box_of_the_drawn_area_inside_some_pictures():
    bright = torch.ones(400, 1, 40, 40)
    draw = a_draw(400)
    erased = RandomErasing(probability=0.5).apply(bright, draw)[:, 0] == 0
    chosen = (draw.uniform(14) < 0.5).tolist()
    assert erased.any(0).any(0).all()  # to every edge
    assert erased.any(0).any(1).all()
    for n, box in enumerate(erased):
        rows, columns = box.any(1).sum(), box.any(0).sum()
        assert box.sum() == rows * columns
        assert chosen[n] == bool(rows)
        if chosen[n]:
            area = (0.02 + 0.31 * float(draw.uniform(10)[n])) * 1600
            ratio = math.exp((2 * float(draw.uniform(11)[n]) - 1) * math.log(3.3))
            sides = [min(max(round(s), 1), 40)
                     for s in ((area / ratio) ** 0.5, (area * ratio) ** 0.5)]  # fmt: skip
            assert [int(rows), int(columns)] == sides


def resampled(picture: torch.Tensor, box: list[float]) -> torch.Tensor:
    """Resize a box of a picture to the picture's size, bilinear, pixel by pixel."""
    _, height, width = picture.shape
    top, left, tall, wide = box
    found = torch.zeros_like(picture)
    for i in range(height):
        for j in range(width):
            y = min(max((top + tall * (i + 0.5) / height) * height - 0.5, 0), height - 1)
            x = min(max((left + wide * (j + 0.5) / width) * width - 0.5, 0), width - 1)
            a, b = math.floor(y), math.floor(x)
            c, d = min(a + 1, height - 1), min(b + 1, width - 1)
            v, u = y - a, x - b
            above = (1 - u) * picture[:, a, b] + u * picture[:, a, d]
            below = (1 - u) * picture[:, c, b] + u * picture[:, c, d]
            found[:, i, j] = (1 - v) * above + v * below
    return found


def test_a_random_resized_crop_is_a_bilinear_look_at_its_box():
    crop, pictures = RandomResizedCrop(), PICTURES[:6].double() / 7
    draw = some(DRAW, 0, 6)
    boxes = crop.boxes(9, 7, draw).double().tolist()
    wanted = torch.stack([resampled(p, b) for p, b in zip(pictures, boxes, strict=True)])
    torch.testing.assert_close(
        crop.apply(pictures.float(), draw), wanted.float(), rtol=0, atol=2e-4
    )
    rounded = crop.apply(PICTURES[:6], draw)
    assert rounded.dtype == torch.uint8
    assert (rounded.double() - wanted * 7).abs().max() < 0.51


def test_boxes_have_the_areas_and_shapes_that_were_asked_for_and_lie_inside():
    draw = a_draw(4000)
    top, left, tall, wide = RandomResizedCrop(smallest=0.2).boxes(32, 32, draw).unbind(1)
    assert float((top + tall).max()) <= 1 + 1e-6
    assert float((left + wide).max()) <= 1 + 1e-6
    free = (tall < 1) & (wide < 1)
    area, ratio = (tall * wide)[free], (wide / tall)[free]
    close(area, (0.2 + 0.8 * draw.uniform(4))[free])
    assert 3 / 4 - 1e-5 <= float(ratio.min()) <= float(ratio.max()) <= 4 / 3 + 1e-5


def test_boxes_are_as_often_wide_as_tall_in_pixels_whatever_the_picture():
    draw = a_draw(4000)
    tall, wide = RandomResizedCrop(smallest=0.2).boxes(48, 24, draw).unbind(1)[2:]
    free = draw.uniform(4) < 0.2  # so that no side is cut to the picture's
    ratio = (24 * wide / (48 * tall)).log()[free] / math.log(4 / 3)  # uniform in −1 … 1
    assert ratio.abs().max() <= 1 + 1e-5
    assert ratio.mean().abs() < 5 * (1 / 3 / len(ratio)) ** 0.5
    assert ratio.square().mean() == pytest.approx(1 / 3, abs=5 * (4 / 45 / len(ratio)) ** 0.5)


TARGETS = torch.arange(COUNT) % 5
VECTORS = one_hot(TARGETS, 5).float()


def test_mixup_blends_inputs_and_targets_by_one_share_from_beta():
    draw = a_draw(4000)
    x, y = torch.rand(4000, 3), torch.rand(4000, 2)
    mixed, targets = Mixup(alpha=0.4).mix(x, y, draw)
    gap = y - y.flip(0)
    widest = gap.abs().argmax(1, keepdim=True)
    share = ((targets - y.flip(0)) / gap).gather(1, widest)[:, 0]
    wide = gap.abs().amax(1) > 0.2
    blend = share[wide, None] * x[wide] + (1 - share[wide, None]) * x.flip(0)[wide]
    torch.testing.assert_close(mixed[wide], blend, rtol=0, atol=1e-4)
    shares = Mixup(alpha=0.4).mix(torch.ones(4000, 1), torch.eye(4000), draw)[1].diagonal()
    assert stats.kstest(shares.numpy(), stats.beta(0.4, 0.4).cdf).pvalue > 0.01


def test_cut_mix_pastes_a_box_of_the_partner_and_counts_its_pixels():
    mixed, targets = CutMix().mix(PICTURES, VECTORS, DRAW)
    for n, picture in enumerate(mixed):
        theirs = PICTURES[COUNT - 1 - n]
        pasted = (picture == theirs).all(0) & (picture != PICTURES[n]).any(0)
        rows, columns = pasted.any(1).nonzero().flatten(), pasted.any(0).nonzero().flatten()
        area = len(rows) * len(columns) / 63 if len(rows) else 0.0
        assert torch.equal(pasted.sum(), torch.tensor(len(rows) * len(columns)))
        close(targets[n], (1 - area) * VECTORS[n] + area * VECTORS[COUNT - 1 - n])
        assert torch.equal(picture[:, ~pasted], PICTURES[n][:, ~pasted])


def test_the_box_of_cut_mix_has_the_share_of_the_area_about_its_middle():
    dark, bright = torch.zeros(COUNT, 1, 30, 20), torch.ones(COUNT, 1, 30, 20)
    half = COUNT // 2
    pictures = torch.cat([dark[:half], bright[half:]])  # partners differ
    found = CutMix().mix(pictures, VECTORS, DRAW)[0] != pictures
    share = DRAW.uniform(18).double()  # λ, uniform where α is 1
    for n, box in enumerate(found[:, 0]):
        wanted = torch.zeros(30, 20, dtype=torch.bool)
        ends = []
        for length, lane in ((30, 20), (20, 21)):
            middle = int(float(DRAW.uniform(lane)[n]) * length)
            reach = round(math.sqrt(1 - float(share[n])) * length / 2)
            ends.append(slice(max(middle - reach, 0), middle + reach))
        wanted[ends[0], ends[1]] = True
        assert torch.equal(box, wanted)


def test_some_examples_stay_unmixed():
    for mixing in (Mixup(probability=0.5), CutMix(probability=0.5)):
        lane = 17 if isinstance(mixing, Mixup) else 19
        mixed, targets = mixing.mix(PICTURES, VECTORS, DRAW)
        stay = DRAW.uniform(lane) >= 0.5
        assert 12 < int(stay.sum()) < 52
        assert torch.equal(mixed[stay].to(torch.uint8), PICTURES[stay])
        assert torch.equal(targets[stay], VECTORS[stay])


@pytest.mark.parametrize("policy", [TrivialAugment(), RandAugment()], ids=repr)
def test_policies_are_torchvisions_with_a_draw_for_each_picture(policy: Augmentation):
    from torchvision.transforms import v2

    theirs = v2.TrivialAugmentWide() if isinstance(policy, TrivialAugment) else v2.RandAugment()
    torch.manual_seed(3)
    found = policy.apply(PICTURES, DRAW)
    after = torch.get_rng_state()
    for n, key in enumerate(DRAW.keys.tolist()):
        torch.manual_seed(key & (2**63 - 1))
        assert torch.equal(found[n], theirs(PICTURES[n]))
    torch.manual_seed(3)
    assert torch.equal(after, torch.get_rng_state())


def test_sides_grow_linearly_to_the_full_size():
    resize = ProgressiveResize(start=0.5, until=0.8, multiple=4)
    shares = [min(0.5 + 0.5 * p / 0.8, 1) for p in (0, 0.2, 0.4, 0.6, 0.8, 1)]
    found = [resize.sides(64, 32, p) for p in (0, 0.2, 0.4, 0.6, 0.8, 1)]
    assert found == [(round(16 * s) * 4, round(8 * s) * 4) for s in shares]
    small = resize.apply(torch.full((2, 3, 64, 32), 7, dtype=torch.uint8), some_progress(0.0))
    assert small.shape == (2, 3, 32, 16)
    assert small.unique().tolist() == [7]


def some_progress(progress: float) -> Draw:
    rows = torch.arange(2)
    return Draw(keys=rows, own=rows, passes=rows, progress=progress)


EVERY: tuple[Augmentation, ...] = (
    PadCrop(padding=2),
    PadCrop(padding=2, border="reflect"),
    Flip(vertical=True),
    AlternatingFlip(),
    QuarterTurn(),
    Cutout(side=3),
    RandomErasing(probability=0.7),
    RandomResizedCrop(),
    TrivialAugment(),
    RandAugment(),
    ProgressiveResize(),
)


@pytest.mark.parametrize("augmentation", EVERY, ids=repr)
def test_noise_follows_the_example_not_the_batch(augmentation: Augmentation):
    halves = [augmentation.apply(SQUARE[a:b], some(DRAW, a, b)) for a, b in ((0, 20), (20, COUNT))]
    assert torch.equal(torch.cat(halves), augmentation.apply(SQUARE, DRAW))


def test_what_mixes_comes_last():
    data = rings()
    with pytest.raises(ValueError, match="what mixes examples comes after every other"):
        Batches(
            data.train,
            data.preprocessing,
            size=8,
            seed=0,
            augmentation=(Mixup(), Flip()),
            classes=5,
            device=CPU,
        )


@pytest.mark.parametrize("mixing", [Mixup(), CutMix()], ids=repr)
def test_mixed_class_targets_are_shares_that_sum_to_one(mixing: Mixing):
    data = rings()
    batches = Batches(
        data.train,
        data.preprocessing,
        size=32,
        seed=0,
        augmentation=(mixing,),
        classes=5,
        device=CPU,
    )
    targets = batches[0].targets
    close(targets.sum(1), torch.ones(32))
    assert ((targets > 0) & (targets < 1)).any()
    assert batches.at(0, mixed=False).targets.dtype == torch.long


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: PadCrop(border="wrap"), "border must be one of zeros, reflect"),
        (lambda: Cutout(side=0), "side must be positive"),
        (lambda: RandomErasing(smallest=0.5, largest=0.2), "0 < smallest <= largest"),
        (lambda: RandomResizedCrop(smallest=0), "share of the area"),
        (lambda: Mixup(alpha=0), "alpha must be positive"),
        (lambda: CutMix(probability=2), r"probability must lie in \[0, 1\]"),
        (lambda: RandAugment(magnitude=31), "magnitude must lie in 0 … 30"),
        (lambda: ProgressiveResize(start=0), r"start must lie in \(0, 1\]"),
        (lambda: QuarterTurn().apply(PICTURES, DRAW), "needs square pictures, these are 9×7"),
        (lambda: TrivialAugment().apply(PICTURES.float(), DRAW), "pictures of 8 bits"),
        (
            lambda: PadCrop(padding=7, border="reflect").apply(PICTURES, DRAW),
            "cannot mirror 7 pixels",
        ),
    ],
)
def test_settings_without_a_meaning_are_refused(make, told: str):
    with pytest.raises(ValueError, match=told):
        make()


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
