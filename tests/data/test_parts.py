"""Splits, order and batches are pure functions of their seeds, and lose nothing."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from skipwise.data import (
    Arrays,
    Batches,
    Digits,
    Flip,
    InMemory,
    Mixup,
    PadCrop,
    ProgressiveResize,
    Shares,
    batch_index,
    find_data,
    fit_preprocessing,
    held_out,
    in_order,
)
from skipwise.experiment import build, compose
from tests.conftest import DEBIAN_FASHION
from tests.references import rings

CPU = torch.device("cpu")


def test_a_split_is_stratified_disjoint_and_complete():
    targets = torch.tensor([0] * 50 + [1] * 30 + [2] * 2)
    stay, out = held_out(targets, 0.2, seed=0, purpose="test")
    assert torch.bincount(targets[out]).tolist() == [10, 6, 1]
    assert torch.equal(torch.cat([stay, out]).sort().values, torch.arange(82))
    assert all(torch.equal(rows, rows.sort().values) for rows in (stay, out))


@pytest.mark.parametrize("rows", [None, torch.arange(899, -1, -3), torch.arange(0)])
def test_a_part_on_a_device_is_the_part_bit_for_bit(rows: torch.Tensor | None):
    inputs, targets = torch.randint(0, 256, (900, 3, 4, 5), dtype=torch.uint8), torch.arange(900)
    whole = InMemory(inputs, targets)
    there = (whole if rows is None else whole.subset(rows)).on(CPU)
    found = there.gather(torch.arange(len(there)))
    wanted = (inputs, targets) if rows is None else (inputs[rows], targets[rows])
    assert all(map(torch.equal, found, wanted))
    assert (found[0].dtype, there.device) == (torch.uint8, CPU)


def test_each_class_draws_for_itself_which_of_its_examples_are_held_out():
    first, second = held_out(torch.arange(80) // 40, 0.25, seed=0, purpose="test")[1].split(10)
    assert not torch.equal(first, second - 40)


def test_a_split_depends_on_its_seed_and_purpose_and_nothing_else():
    targets = torch.arange(100) % 3
    torch.manual_seed(1)
    first = held_out(targets, 0.3, seed=0, purpose="test")[1]
    torch.manual_seed(2)
    assert torch.equal(first, held_out(targets, 0.3, seed=0, purpose="test")[1])
    assert not torch.equal(first, held_out(targets, 0.3, seed=1, purpose="test")[1])
    assert not torch.equal(first, held_out(targets, 0.3, seed=0, purpose="validation")[1])


def test_a_class_of_one_example_stays_in_training():
    stay, out = held_out(torch.tensor([0, 0, 0, 0, 1]), 0.4, seed=0, purpose="test")
    assert 4 in stay
    assert len(out) == 2


def test_every_example_comes_once_an_epoch_and_every_batch_is_full():
    batches = [batch_index(3, step, 32, 100) for step in range(25)]  # 25 · 32 = 8 epochs of 100
    assert {len(b) for b in batches} == {32}
    stream = torch.cat(batches)
    for epoch in stream.split(100):
        assert torch.equal(epoch.sort().values, torch.arange(100))
    assert not torch.equal(stream[:100], stream[100:200])


def test_the_order_depends_on_the_seed():
    assert torch.equal(batch_index(3, 7, 32, 100), batch_index(3, 7, 32, 100))
    assert not torch.equal(batch_index(3, 7, 32, 100), batch_index(4, 7, 32, 100))


def test_a_batch_larger_than_the_data_is_all_of_them():
    data = rings(40)
    batch = Batches(data.train, data.preprocessing, size=1000, seed=0, device=CPU)[0]
    assert len(batch) == len(data.train)


def test_the_test_part_never_moves_with_the_runs_seed():
    runs = [
        (dataset, build(experiment, dataset)[0])
        for experiment, dataset in (compose("digits", steps=1, seed=seed) for seed in (0, 1))
    ]
    first, second = (run.batches.at(0) for _, run in runs)
    assert not torch.equal(first.index, second.index)
    held = [dataset.test for dataset, _ in runs if dataset.test is not None]
    assert torch.equal(*[h.gather(torch.arange(len(h)))[0] for h in held])
    assert runs[0][0].digest == runs[1][0].digest


def test_normalised_training_pictures_have_mean_zero_and_variance_one():
    data = rings()
    whole = next(in_order(data.train, data.preprocessing, size=10_000, device=CPU)).inputs
    torch.testing.assert_close(whole.mean((0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(whole.var((0, 2, 3), correction=0), torch.ones(3), atol=1e-5, rtol=0)


def test_all_tensors_of_a_batch_lie_on_its_device():
    data, there = rings(), torch.device("meta")
    batches = Batches(data.train, data.preprocessing, size=50, seed=0, device=there)
    for batch in (batches[0], next(in_order(data.train, data.preprocessing, size=9, device=there))):
        lie = {tensor.device for tensor in vars(batch).values() if tensor is not None}
        assert lie == {there}


def test_a_channel_that_never_changes_is_only_centred():
    preprocessing = fit_preprocessing(torch.full((4, 2, 3, 3), 7, dtype=torch.uint8))
    assert preprocessing.std == (1.0, 1.0)
    assert torch.equal(preprocessing(torch.full((1, 2, 3, 3), 7)), torch.zeros(1, 2, 3, 3))


def test_parts_of_a_batch_are_its_examples_in_order():
    data = rings()
    batch = Batches(data.train, data.preprocessing, size=50, seed=0, device=CPU)[2]
    parts = batch.parts(3)
    assert sorted(len(p) for p in parts) == [16, 17, 17]
    for name in ("inputs", "targets", "index", "keys"):
        assert torch.equal(torch.cat([vars(p)[name] for p in parts]), vars(batch)[name])
    assert [len(p) for p in batch.cut(slice(3)).parts(5)] == [1, 1, 1]


@pytest.mark.parametrize("augmentation", [(PadCrop(padding=1), Flip()), (Flip(), Mixup())], ids=str)
def test_the_shares_of_three_processes_are_the_batch_of_one(augmentation):
    data = rings()
    make = partial(Batches, data.train, data.preprocessing, size=50, seed=0, device=CPU)
    whole, *shares = (
        make(augmentation=augmentation, classes=5, among=among)[3]
        for among in ((0, 1), (0, 3), (1, 3), (2, 3))
    )
    assert [len(share) for share in shares] == [16, 17, 17]
    for name in ("inputs", "targets", "index", "keys"):
        assert torch.equal(torch.cat([vars(share)[name] for share in shares]), vars(whole)[name])


def test_no_batch_of_an_evaluation_is_larger_than_it_may_be():
    data = rings(99)
    sizes = [len(b) for b in in_order(data.train, data.preprocessing, size=10, device=CPU)]
    assert sum(sizes) == len(data.train)
    assert len(data.train) % 10  # the last would be smaller
    assert 10 >= max(sizes) >= min(sizes) >= max(sizes) - 1


def test_a_batch_is_as_large_as_the_progress_of_the_run_says():
    data = rings()
    batches = Batches(
        data.train, data.preprocessing, size=4, seed=0, device=CPU,
        augmentation=(ProgressiveResize(start=0.5, multiple=4),),
    )  # fmt: skip
    full = batches[0].inputs.shape[2]
    sides = [batches.at(0, progress=p).inputs.shape[2] for p in (0.0, 1.0)]
    assert sides == [full // 2, full]


def test_pictures_that_are_targets_are_learned_between_0_and_1(tmp_path: Path):
    x = np.random.default_rng(0).integers(0, 256, (40, 8, 8)).astype(np.uint8)
    np.savez(tmp_path / "pairs.npz", x=x, y=255 - x)
    data = Arrays(path=str(tmp_path / "pairs.npz")).load()
    batch = Batches(data.train, data.preprocessing, size=8, seed=0, device=CPU)[0]
    raw = data.train.gather(batch.index)[1]
    assert raw.dtype == torch.uint8
    torch.testing.assert_close(batch.targets, raw.float() / 255)
    torch.testing.assert_close(data.preprocessing.unscaled(batch.targets), raw.float())


def test_digits_are_those_of_scikit_learn():
    from sklearn.datasets import load_digits
    from sklearn.utils import Bunch

    data, bunch = Digits(shares=Shares(test=0.0, validation=0.0)).load(), load_digits()
    assert isinstance(bunch, Bunch)
    pictures, labels = data.train.gather(torch.arange(1797))
    np.testing.assert_array_equal(pictures[:, 0].numpy(), np.round(bunch.images * 255 / 16))
    np.testing.assert_array_equal(labels.numpy(), bunch.target)
    assert data.test is None
    assert any("no score is free of choices" in note for note in data.notes)


def test_a_share_of_a_part_that_is_there_is_said_to_have_no_effect(tmp_path: Path):
    x, y = np.zeros((60, 1, 4, 4), dtype=np.uint8), np.arange(60) % 2
    x[::2] = 255
    np.savez(tmp_path / "own.npz", x_train=x, y_train=y, x_test=x[:20], y_test=y[:20])
    given = Arrays(path=str(tmp_path / "own.npz"), shares=Shares(test=0.3))
    told = "the share for test has no effect: the data have a part of their own"
    assert told in given.load().notes
    assert told not in replace(given, shares=Shares()).load().notes


def test_a_share_for_test_that_was_asked_for_is_held_out_beside_a_validation_part(tmp_path: Path):
    x, y = np.random.default_rng(0).normal(size=(100, 3)), np.arange(100) % 2
    np.savez(tmp_path / "a.npz", x=x, y=y, x_val=x[:10], y_val=y[:10])
    plain, asked = (
        Arrays(path=str(tmp_path / "a.npz"), shares=shares).load()
        for shares in (Shares(), Shares(test=0.3))
    )
    assert plain.test is None
    assert asked.test is not None
    assert (len(asked.train), len(asked.test)) == (70, 30)


@pytest.mark.skipif(
    not DEBIAN_FASHION.is_dir(), reason="Debian's dataset-fashion-mnist is not installed"
)
def test_fashion_mnist_is_the_published_set():
    data = find_data("fashion-mnist").load()
    assert data.validation is not None
    assert data.test is not None
    assert (len(data.train), len(data.validation), len(data.test)) == (55_000, 5_000, 10_000)
    labels = data.test.gather(torch.arange(10_000))[1]
    assert torch.bincount(labels).tolist() == [1000] * 10
    assert labels[:6].tolist() == [9, 2, 1, 1, 6, 1]  # the first test labels as published


def test_shares_out_of_range_are_refused():
    with pytest.raises(
        ValueError, match=r"test is a share of the data and must lie in \[0, 1\), got 1.5"
    ):
        replace(Shares(), test=1.5)
