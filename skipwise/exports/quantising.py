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

from skipwise.data import CLASSES, LABELS, Examples
from skipwise.exports.checking import AsRead, Compute, Part, spread
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
        difference: The largest between probabilities (numbers, of regression) of the two files.
        bytes_before: Size of the file in float32.
        bytes_after: In eight bits.
    """

    metric: str
    before: float
    after: float
    examples: int
    part: str
    difference: float
    bytes_before: int
    bytes_after: int

    def __str__(self) -> str:
        which = f"all {self.examples}" if self.part == "all" else f"{self.examples} {self.part}"
        return (
            f"eight bits: {self.metric} {self.after:.4f} instead of {self.before:.4f} on {which}"
            f" examples, largest difference {self.difference:.1e};"
            f" {self.bytes_after / 1e6:.2f} MB instead of {self.bytes_before / 1e6:.2f} MB"
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
            nodes_to_exclude=_last(source),  # its numbers are in the units of the targets
            per_channel=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
        )


def calibration_of(training: Examples, as_read: AsRead) -> np.ndarray:
    """Give training examples as the exported network reads them."""
    return as_read(spread(training, CALIBRATION))


def loss_of(files: Mapping[Path, Compute], part: Part, task: str, as_read: AsRead) -> Loss:
    """Score two files, the one in float32 first, on a whole part.

    Args:
        files: Both, with what they compute.
        part: What they are scored on.
        task: Of the network.
        as_read: (raw examples) → what the files read.
    """
    total, count, difference = np.zeros(2), 0, 0.0
    for index in torch.arange(len(part.examples)).split(CHUNK):
        raw, targets = part.examples.gather(index)
        before, after = (compute(as_read(raw)) for compute in files.values())
        measured = [_measured(found, targets.numpy(), task) for found in (before, after)]
        total += [values.sum() for values in measured]
        count += measured[0].size
        difference = max(difference, float(np.abs(after - before).max()))
    means = total / max(count, 1)
    scores = means if task in (CLASSES, LABELS) else means**0.5
    sizes = [path.stat().st_size for path in files]
    names = {CLASSES: "accuracy", LABELS: "accuracy by label"}
    return Loss(
        metric=names.get(task, "root mean square error"),
        before=float(scores[0]),
        after=float(scores[1]),
        examples=len(part.examples),
        part=part.name,
        difference=difference,
        bytes_before=sizes[0],
        bytes_after=sizes[1],
    )


def _measured(found: np.ndarray, wanted: np.ndarray, task: str) -> np.ndarray:
    """Say what is right; of regression, the squared errors."""
    if task == CLASSES:
        return found.argmax(1) == wanted
    flat = wanted.reshape(found.shape)
    if task == LABELS:
        return (found >= 0.5) == (flat >= 0.5)
    return (found.astype(np.float64) - flat) ** 2


def _last(source: Path) -> list[str]:
    """Name what gives the outputs of a file of ONNX."""
    import onnx

    graph = onnx.load(source).graph
    return [node.name for node in graph.node if graph.output[0].name in node.output]


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
