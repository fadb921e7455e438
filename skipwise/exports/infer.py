"""Say what a network that Skipwise exported sees in pictures.

    python infer.py model.onnx picture.png …

Needs numpy, Pillow and onnxruntime. The model says itself what it reads and what it gives.
"""

import json
import sys

import numpy as np
from PIL import Image, ImageOps


def load(path):
    """Open a model; give its session and what it says of itself."""
    from onnxruntime import InferenceSession

    session = InferenceSession(path, providers=["CPUExecutionProvider"])
    return session, json.loads(session.get_modelmeta().custom_metadata_map["skipwise"])


def read(path, card):
    """Decode a picture, turn it upright, and bring it to the size of the network if it has one."""
    with Image.open(path) as file:
        image = ImageOps.exif_transpose(file)
    if image.mode == "F" or not card["channels"]:
        sys.exit(f"{path}: the network reads pictures of 8 or 16 bits, or no pictures at all")
    if image.mode.startswith("I"):
        image = Image.fromarray((np.asarray(image) / 257).round().astype(np.uint8))
    if image.mode in {"RGBA", "LA", "PA"} or "transparency" in image.info:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    image = image.convert("L" if card["channels"] == 1 else "RGB")
    if card["size"]:
        image = ImageOps.fit(image, card["size"][::-1], Image.Resampling.BILINEAR)
    return np.asarray(image).reshape(1, image.height, image.width, card["channels"])


def words(row, card):
    """Name the likeliest class, or every label from one half on, with the greatest probability."""
    if card["task"] == "regression":
        return "  ".join(f"{value:.4f}" for value in row.flat)
    likely = np.arange(row.size) == row.argmax() if card["task"] == "classification" else row >= 0.5
    named = "+".join(name for name, yes in zip(card["classes"], likely, strict=True) if yes)
    return f"{named}  {row.max():.4f}"


def main(model, *files):
    """Print a line for each picture."""
    session, card = load(model)
    for path in files:
        try:
            pixels = read(path, card)
        except OSError as error:
            print(f"{path} cannot be read as a picture: {error.strerror or error}", file=sys.stderr)
            sys.exit(2)
        (found,) = session.run(None, {"input": pixels})
        print(f"{path:<{max(map(len, files))}}  {words(np.asarray(found)[0], card)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
