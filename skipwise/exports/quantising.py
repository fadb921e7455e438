"""Weights and activations in eight bits, and what of the accuracy is lost by it.

Dynamic quantisation stores the weights in eight bits and finds the range of every activation as it
computes, over the whole batch, so what is said of a picture depends a little on the others. The
file shrinks to about a third, but onnxruntime's convolutions of this kind are slower than those in
float32. Static quantisation takes the ranges from training examples beforehand; its
convolutions are faster than float32, and it loses somewhat more.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from skipwise.data import CLASSES, LABELS, Dataset, Examples
from skipwise.exports.checking import Compute, spread
from skipwise.exports.writing import quiet

CALIBRATION, CHUNK = 256, 64
QUANTISED = ["Conv", "Gemm", "MatMul"]


@dataclass(frozen=True, kw_only=True)
class Loss:
    """What eight bits cost on a whole part of the data.

    Args:
        metric: ``accuracy``, ``accuracy by label`` or ``root mean square error``.
        before: In float32.
        after: In eight bits.
        examples: Their number.
        part: Which part, in batches of 64.
        bytes_before: Size of the file in float32.
        bytes_after: In eight bits.
    """

    metric: str
    before: float
    after: float
    examples: int
    part: str
    bytes_before: int
    bytes_after: int

    def __str__(self) -> str:
        sizes = f"{self.bytes_after / 1e6:.2f} MB instead of {self.bytes_before / 1e6:.2f} MB"
        return (
            f"eight bits: {self.metric} {self.after:.4f} instead of {self.before:.4f} on"
            f" {self.examples} {self.part} examples; {sizes}"
        )


def quantise(source: Path, target: Path, *, calibration: np.ndarray | None = None) -> None:
    """Write a file of ONNX anew with eight bits.

    Args:
        source: The file in float32.
        target: What is written.
        calibration: Raw training examples from which the ranges of activations are taken; None
            finds them as it computes.
    """
    from onnxruntime import quantization

    # Matrix products in float64 are those of the resizing inside and stay as they are.
    with quiet():
        if calibration is None:
            quantization.quantize_dynamic(
                source,
                target,
                op_types_to_quantize=QUANTISED,
                per_channel=True,
                weight_type=quantization.QuantType.QUInt8,  # QInt8 is three times as slow
            )
            return
        quantization.quantize_static(
            source,
            target,
            _reader(calibration),
            op_types_to_quantize=[*QUANTISED, "Add"],
            per_channel=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
        )


def calibration_of(dataset: Dataset, channels: int) -> np.ndarray:
    """Give training examples as the exported network reads them."""
    return as_read(spread(dataset.train, CALIBRATION), channels)


def as_read(raw: torch.Tensor, channels: int) -> np.ndarray:
    """Turn raw examples into what the exported network reads.

    Args:
        raw: Shape ``(batch, *example)``.
        channels: Of pictures, which go last; 0 for anything else.
    """
    if not channels:
        return raw.float().numpy()
    return raw.expand(-1, channels, -1, -1).permute(0, 2, 3, 1).contiguous().numpy()


def loss_of(files: Mapping[Path, Compute], dataset: Dataset, task: str, channels: int) -> Loss:
    """Score two files, the one in float32 first, on the test part or what stands for it.

    Args:
        files: Both, with what they compute.
        dataset: The data.
        task: Of the network.
        channels: Of the pictures that it reads; 0 for anything else.
    """
    part = "test" if dataset.test is not None else "training"
    examples = dataset.train if dataset.test is None else dataset.test
    scores = [_score(f, examples, task, channels) for f in files.values()]
    sizes = [path.stat().st_size for path in files]
    names = {CLASSES: "accuracy", LABELS: "accuracy by label"}
    return Loss(
        metric=names.get(task, "root mean square error"),
        before=scores[0],
        after=scores[1],
        examples=len(examples),
        part=part,
        bytes_before=sizes[0],
        bytes_after=sizes[1],
    )


def _score(compute: Compute, examples: Examples, task: str, channels: int) -> float:
    total, count = 0.0, 0
    for index in torch.arange(len(examples)).split(CHUNK):
        raw, targets = examples.gather(index)
        found, wanted = compute(as_read(raw, channels)), targets.numpy()
        if task == CLASSES:
            measured = found.argmax(1) == wanted
        else:
            flat = wanted.reshape(found.shape)
            measured = (found >= 0.5) == (flat >= 0.5) if task == LABELS else (found - flat) ** 2
        total, count = total + float(measured.sum()), count + measured.size
    mean = total / max(count, 1)
    return mean if task in (CLASSES, LABELS) else mean**0.5


def _reader(examples: np.ndarray) -> Any:
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):
        def __init__(self):
            self.left: Iterator[np.ndarray] = iter(
                examples[n : n + CHUNK] for n in range(0, len(examples), CHUNK)
            )

        def get_next(self) -> Any:
            some = next(self.left, None)
            return None if some is None else {"input": some}

    return Reader()
