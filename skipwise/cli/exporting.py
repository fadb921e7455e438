"""``export``."""

import dataclasses
from pathlib import Path
from typing import Any

from skipwise.cli.words import Flag, Words, print_json
from skipwise.exports import Export, Weights, export, export_weights

TENSORS = (".pth", ".safetensors")


def export_run(
    run: Path,
    path: Path,
    /,
    *,
    format: str | None = None,
    resize: Flag = False,
    int8: Flag = False,
    calibrate: Flag = False,
    data: str | None = None,
    views: str | None = None,
    allow: Words = (),
    json: Flag = False,
) -> None:
    """Write a run's best weights as one file that works alone, with the preprocessing inside.

    The file reads pictures in uint8, channels last, and gives probabilities. It is compared with
    predict on 100 test examples, pictures from files, and written only if they agree; then it is
    timed. Beside a file .onnx stands infer.py, which needs numpy, Pillow and onnxruntime only.

    A file .pth or .safetensors holds tensors alone, under the names of another library, whose own
    network loads it; what it reads and gives is said.

    Args:
        run: The run's folder, or a file of weights, ours or others'.
        path: What to write: .onnx, .pt2 for torch.export.load, or .pth or .safetensors.
        format: Of .pth and .safetensors: torchvision, timm or cifar (akamaster's networks); the one
            that has such a network if left out.
        resize: Resize pictures of any size inside; else infer.py does, with Pillow.
        int8: Store and multiply in eight bits (.onnx), and say what accuracy that costs.
        calibrate: With --int8, take the ranges from training examples beforehand: faster.
        data: Other data to compare on: a name, a folder or a file.
        views: Average the outputs over views of a picture: flip, crops or none; as in the
            training if left out.
        allow: A package of yours that the run names.
        json: Print the result as one JSON object.

    Raises:
        ValueError: If there are no weights, or the file cannot be written or differs from predict.
    """
    options: dict[str, Any] = {} if views is None else {"views": views}
    options |= {"data": data, "resize": resize, "int8": int8, "calibrate": calibrate}
    done: Export | Weights
    if path.suffix in TENSORS:
        if stray := next((name for name, value in options.items() if value), None):
            raise ValueError(
                f"--{stray} has no effect on {path}, which holds tensors alone; leave it out, or"
                f" export {path.with_suffix('.onnx')}"
            )
        done = export_weights(run, path, format=format, allow=allow)
    elif format is not None:
        raise ValueError(
            f"--format names the library for {' or '.join(TENSORS)}, and {path} is none; leave it"
            " out, or name such a file"
        )
    else:
        done = export(run, path, allow=allow, **options)
    if json:
        files = {name: str(value) for name, value in vars(done).items() if isinstance(value, Path)}
        print_json({**dataclasses.asdict(done), **files})
    else:
        print(done)
