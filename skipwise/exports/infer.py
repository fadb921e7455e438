"""Say what a network that Skipwise exported sees in pictures.

python infer.py model.onnx picture.png …      # needs numpy, Pillow and onnxruntime
"""

import json
import sys

try:
    import numpy as np
    from PIL import Image, ImageOps, TiffImagePlugin
except ImportError as error:
    print(f"{error}; pip install numpy Pillow onnxruntime", file=sys.stderr)
    sys.exit(2)


def read(path, card):
    """Decode a picture, turn it upright, and bring it to the colours and size of the network.

    Raises:
        ValueError: If it is a stack of pictures, or its values do not fit into 16 bits.
    """
    with Image.open(path) as file:
        image = ImageOps.exif_transpose(file)
        is_tiff = isinstance(file, TiffImagePlugin.TiffImageFile)
        if is_tiff and max(file.n_frames, int(file.tag_v2.get(32997, 1))) > 1:
            raise ValueError("it is a stack of pictures; save the one that counts by itself")
    if image.mode[0] in "IF":
        deep = np.asarray(image)
        if image.mode == "F" or deep.min() < 0 or deep.max() > 65535:
            raise ValueError("its values do not fit; save it with 8 or 16 bits")
        image = Image.fromarray((deep / 257).round().astype(np.uint8))
    if image.mode[-1] == "A" or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    image = image.convert("L" if card["channels"] == 1 else "RGB")
    if card["size"]:
        image = ImageOps.fit(image, card["size"][::-1], Image.Resampling.BILINEAR)
    return np.asarray(image).reshape(1, image.height, image.width, card["channels"])


if __name__ == "__main__":
    path, *files = sys.argv[1:] or sys.argv
    try:
        from onnxruntime import InferenceSession

        if not files:
            raise ValueError("name a model and pictures: python infer.py model.onnx picture.png …")
        session = InferenceSession(path, providers=["CPUExecutionProvider"])
        card = json.loads(session.get_modelmeta().custom_metadata_map.get("skipwise", "{}"))
        if not card.get("channels"):
            raise ValueError("it is not a network that Skipwise exported and that reads pictures")
        for path in files:
            found = np.asarray(session.run(None, {"input": read(path, card)})[0])[0]
            if card["task"] != "regression":
                one = card["task"] == "classification"
                likely = [found.argmax()] if one else np.flatnonzero(found >= 0.5)
                found = ["+".join(card["classes"][n] for n in likely), f"{found.max():.4f}"]
            print(path, *np.ravel(found))
    except Exception as error:
        hint = "; pip install onnxruntime" if isinstance(error, ImportError) else ""
        print(f"{path}: {' '.join(str(error).split())}{hint}", file=sys.stderr)
        sys.exit(2)
