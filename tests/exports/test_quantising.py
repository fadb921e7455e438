"""Eight bits: what they lose, on which examples it is measured, where the ranges come from."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

import skipwise
from skipwise.data import Arrays, Shares
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
