"""``export``."""

import dataclasses
from pathlib import Path

from skipwise.cli.words import Flag, Words, print_json
from skipwise.exports import export


def export_run(
    run: Path,
    path: Path,
    /,
    *,
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
    predict on 100 test examples, pictures from files, and written only if they agree. Beside a file
    .onnx stands infer.py, which needs numpy, Pillow and onnxruntime only.

    Args:
        run: The run's folder, or a file of weights, ours or others'.
        path: What to write: .onnx, or .pt2 for torch.export.load.
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
    options = {} if views is None else {"views": views}
    done = export(
        run, path, data=data, resize=resize, int8=int8, calibrate=calibrate, allow=allow, **options
    )
    if json:
        script = None if done.script is None else str(done.script)
        print_json({**dataclasses.asdict(done), "path": str(done.path), "script": script})
    else:
        print(done)
