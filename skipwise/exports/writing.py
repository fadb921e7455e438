"""A program as a file of ONNX or of torch.export, with a card that says how to use it."""

import contextlib
import io
import json
import logging
import re
import warnings
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from skipwise.exports.checking import Compute

NEEDS = ("onnx", "onnxscript", "onnxruntime")
CARD = "skipwise"  # the key of the card in a file's metadata
PT2_CARD = f"{CARD}.json"
OTHERWISE = "a file .pt2, for torch.export.load, can be written instead"


def check_onnx_installed() -> None:
    """Refuse where the packages of the extra are missing.

    Raises:
        ValueError: With the line that installs them.
    """
    missing = [name for name in NEEDS if find_spec(name) is None]
    if missing:
        raise ValueError(
            f"export to ONNX needs {', '.join(missing)}, not installed here;"
            ' install it: .venv/bin/pip install -e ".[export]"'
        )


def capture(program: nn.Module, example: Tensor, *, any_size: bool) -> ExportedProgram:
    """Follow the computation of a program, for batches (and pictures) of any size.

    Args:
        program: In evaluation mode.
        example: Two examples.
        any_size: Whether height and width, axes 1 and 2, may change too.

    Raises:
        ValueError: If it cannot be followed: it branches on values, for example.
    """
    axes = {0: Dim("batch")}
    if any_size:
        axes |= {1: Dim("height"), 2: Dim("width")}
    try:
        with quiet(), torch.no_grad():
            return torch.export.export(program, (example,), dynamic_shapes=(axes,))
    except Exception as error:  # torch.export has no error class of its own
        raise ValueError(not_followed(error)) from None


def not_followed(error: Exception) -> str:
    """Say in a sentence why ``torch.export`` could not follow a network."""
    return (
        "this network cannot be exported, for torch.export cannot follow it:"
        f" {_first_line(error)}; its forward must do the same whatever the values and the number of"
        " examples are"
    )


def _first_line(error: BaseException) -> str:
    line = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return f"{type(error).__name__}: {line[:200]}"


def write_onnx(captured: ExportedProgram, path: Path, card: Mapping[str, Any]) -> None:
    """Write ONNX with input ``input`` and output ``output``, and the card in its metadata.

    Raises:
        ValueError: If an operation of the computation has no form in ONNX.
    """
    import onnx

    try:
        with quiet():
            made = torch.onnx.export(
                captured,
                dynamo=True,
                input_names=["input"],
                output_names=["output"],
                external_data=False,
                verbose=False,
            )
    except Exception as error:  # beside its own errors it lets those of onnxscript pass
        raise ValueError(_no_onnx(error)) from None
    assert made is not None  # it gives a program where it is given no file
    model = made.model_proto
    named = [{0: "batch", 1: "height", 2: "width"}, {0: "batch"}]
    for value, names in zip((model.graph.input[0], model.graph.output[0]), named, strict=True):
        for axis, size in enumerate(value.type.tensor_type.shape.dim):
            if size.dim_param:
                size.dim_param = names[axis]
    text = {name: v if isinstance(v, str) else json.dumps(v) for name, v in card.items()}
    onnx.helper.set_model_props(model, {**text, CARD: json.dumps(card)})
    onnx.save(model, path)


def _no_onnx(error: Exception) -> str:
    """Say in a sentence why it cannot be written, by the operation if the first cause names it."""
    first: BaseException = error
    while first.__cause__ is not None:
        first = first.__cause__
    found = re.search(r"No ONNX function found for <OpOverload\(op='([\w.]+)'", str(first))
    why = f"it has no form of the operation {found[1]}" if found else _first_line(first)
    return f"this network cannot be written as ONNX: {why}; {OTHERWISE}"


def open_onnx(path: Path) -> Compute:
    """Give the function that a file of ONNX computes, as ``infer.py`` opens it.

    Raises:
        ValueError: If onnxruntime cannot compute it.
    """
    from onnxruntime import InferenceSession

    try:
        session = InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors have no class in common
        raise ValueError(
            f"onnxruntime cannot compute what was written: {_first_line(error)}; {OTHERWISE}"
        ) from None
    return lambda examples: np.asarray(session.run(None, {"input": examples})[0])


def write_pt2(captured: ExportedProgram, path: Path, card: Mapping[str, Any]) -> None:
    """Write a file that ``torch.export.load`` reads, with the card as an extra file."""
    with quiet():
        torch.export.save(captured, path, extra_files={PT2_CARD: json.dumps(card)})


def open_pt2(path: Path) -> Compute:
    """Give the function that a file of torch.export computes."""
    with quiet():
        module = torch.export.load(path).module()

    def compute(examples: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return module(torch.from_numpy(np.array(examples))).numpy()

    return compute


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep what the exporters tell their own developers off the screen; errors are raised still."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
