"""Eight bits: what they lose, on which examples it is measured, where the ranges come from."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from sklearn.metrics import accuracy_score
from sklearn.metrics import root_mean_squared_error as rmse

import skipwise
from skipwise.data import CLASSES, LABELS, NUMBERS, Arrays, InMemory, Shares
from skipwise.exports.checking import Part
from skipwise.exports.quantising import loss_of
from skipwise.exports.target import find_part
from skipwise.weights import save_as
from tests.exports.test_export import TINY, small, theirs
from tests.references import rings_file


@pytest.mark.parametrize("calibrate", [False, True])
def test_eight_bits_shrink_the_file_and_their_loss_is_measured_on_the_test_part(calibrate: bool):
    run = skipwise.train("digits", skipwise.resnet20(), epochs=4, out="run", quiet=True)
    done = skipwise.export(run, "m.onnx", int8=True, calibrate=calibrate)
    assert done.loss is not None
    assert run.test is not None
    assert done.loss.examples == run.test.examples
    assert done.loss.before == pytest.approx(run.test.metrics["accuracy"], abs=0.01)
    assert done.loss.before - done.loss.after < 0.05
    assert done.size_bytes < 0.45 * done.loss.bytes_before
    test = skipwise.Digits().load().test
    assert test is not None
    images, labels = test.gather(torch.arange(359))
    session = onnxruntime.InferenceSession("m.onnx")
    right = 0
    for some, true in zip(images.split(64), labels.split(64), strict=True):
        found = session.run(None, {"input": some.permute(0, 2, 3, 1).numpy()})[0]
        right += int((np.asarray(found).argmax(1) == true.numpy()).sum())
    assert done.loss.after == pytest.approx(right / 359)
    assert "before eight bits: equals predict on 100 test pictures" in str(done)
    assert done.speed_before is not None
    assert f"on this machine {done.speed}; before eight bits {done.speed_before}" in str(done)
    shown = test.gather(torch.arange(64))[0]
    found = session.run(None, {"input": shown.permute(0, 2, 3, 1).numpy()})[0]
    ours = skipwise.load(run).outputs(shown).softmax(1).numpy()
    assert 0 < np.abs(np.asarray(found) - ours).max() < done.loss.difference + 1e-4
    assert f"359 test examples, largest difference {done.loss.difference:.1e};" in str(done)


def test_eight_bits_are_scored_on_validation_examples_or_all_that_are_named():
    rings_file(Path("rings.npz"))
    data = Arrays(path="rings.npz", shares=Shares(validation=0.25, test=0.0))
    run = skipwise.train(data, small(), out="run", **TINY)
    loss = skipwise.export(run, "m.onnx", int8=True).loss
    assert loss is not None
    assert (loss.part, loss.examples) == ("validation", 60)
    done = skipwise.export(run, "m.onnx", int8=True, data="rings.npz")
    assert "on all 240 examples" in str(done)


def test_ranges_are_taken_from_the_runs_own_training_part_where_it_is_there():
    rings_file(Path("rings.npz"))
    rings_file(Path("few.npz"), examples=50)
    run = skipwise.train(Arrays(path="rings.npz"), small(), out="run", **TINY)
    _, part, notes = find_part(skipwise.load(run), run, "few.npz", calibrate=True)
    assert part is not None
    own = Arrays(path="rings.npz").load().train
    assert (len(part.examples), len(part.training), notes) == (50, len(own), ())
    words = {"int8": True, "calibrate": True, "data": "few.npz"}
    alone = skipwise.export(f"{run.path}/best.safetensors", "m.onnx", **words)
    assert "taken from the examples that are scored: there are no others" in str(alone)


def test_a_network_of_colours_trained_on_grey_numbers_is_exported():
    noise = np.random.default_rng(0)
    x = noise.normal(size=(80, 1, 8, 8)).astype(np.float32)
    np.savez("grey.npz", x=x, y=np.arange(80) % 2)
    save_as("theirs.pth", theirs(), "cifar")
    run = skipwise.train(Arrays(path="grey.npz"), weights="theirs.pth", out="run", **TINY)
    assert "on 16 test examples, as arrays" in str(skipwise.export(run, "m.onnx"))
    eight = skipwise.export(run, "m.onnx", int8=True, calibrate=True).loss
    assert eight is not None
    assert run.test is not None
    assert eight.before == pytest.approx(run.test.metrics["accuracy"])


@pytest.mark.parametrize(
    ("task", "metric"),
    [(CLASSES, "accuracy"), (LABELS, "accuracy by label"), (NUMBERS, "root mean square error")],
)
def test_the_loss_is_that_of_the_whole_part_in_one_example_by_example(task: str, metric: str):
    """150 examples are three batches of which the last is smaller."""
    noise = np.random.default_rng(0)
    first = noise.random((150, 3))
    second = first + noise.normal(size=(150, 3)) * np.linspace(0.4, 0.0, 150)[:, None]
    shape = {CLASSES: (150,), LABELS: (150, 3), NUMBERS: (150, 3)}[task]
    truth = noise.integers(0, 2, shape) if task != NUMBERS else noise.random(shape)
    part = InMemory(torch.arange(150)[:, None], torch.from_numpy(truth))
    before, after = Path("before.onnx"), Path("after.onnx")
    before.write_bytes(bytes(900))
    after.write_bytes(bytes(300))
    files = {before: lambda rows: first[rows[:, 0]], after: lambda rows: second[rows[:, 0]]}
    found = loss_of(
        files, Part(name="test", examples=part, training=part), task, lambda raw: raw.numpy()
    )

    def score(given: np.ndarray) -> float:
        if task == CLASSES:
            return accuracy_score(truth, given.argmax(1))
        flat = truth.ravel(), given.ravel()
        return accuracy_score(flat[0], flat[1] >= 0.5) if task == LABELS else rmse(*flat)

    assert (found.metric, found.part, found.examples) == (metric, "test", 150)
    assert (found.before, found.after) == pytest.approx((score(first), score(second)))
    assert found.difference == pytest.approx(np.abs(first - second).max())
    assert (found.bytes_before, found.bytes_after) == (900, 300)
