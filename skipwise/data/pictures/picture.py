"""Picture files: reading one, and bringing it to the channels and the size that a network needs."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from PIL import Image, ImageOps, TiffImagePlugin, UnidentifiedImageError
from torch import Tensor

SUFFIXES = frozenset({
    ".png",
    ".jpg",
    ".jpeg",
    ".jfif",
    ".bmp",
    ".gif",
    ".webp",
    ".tif",
    ".tiff",
    ".ppm",
    ".pgm",
    ".pbm",
})
TIFF_DEPTH = 32997  # the tag of volumes: slices in one page
GREY = frozenset({"1", "L", "LA", "I", "F", "I;16", "I;16B", "I;16L"})
BROKEN = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)


class UnreadablePicture(ValueError):
    """A file that is no picture, or a broken one.

    Args:
        sentence: What is wrong with it.
        file: Its name.
    """

    def __init__(self, sentence: str, file: str = ""):
        super().__init__(sentence)
        self.file = file


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """A picture file that lies in another file, a table for example.

    Args:
        name: What messages call it, the table and the row.
        content: What the picture file would hold.
    """

    name: str
    content: bytes

    def __str__(self) -> str:
        return self.name


File: TypeAlias = Path | Encoded
Head: TypeAlias = tuple[tuple[int, int], bool]  # (height, width), is grey


def header(path: File) -> Head:
    """Read (height, width) as a viewer would show it, and whether it is grey, without decoding.

    Raises:
        UnreadablePicture: If the file cannot be opened as a picture.
    """
    with _opened(path) as image:
        # EXIF orientations 5 to 8 swap the sides; of a TIFF Pillow gives them swapped already.
        is_tiff = isinstance(image, TiffImagePlugin.TiffImageFile)
        # Not image.getexif(), which decodes a PNG to look for EXIF behind its pixels.
        turned = not is_tiff and Image.Image.getexif(image).get(0x0112, 1) >= 5
        width, height = image.size
        size = (width, height) if turned else (height, width)
        return size, image.mode in GREY


def deepest(file: File) -> int:
    """Read the largest value of a picture of 16 bits; 0 of any other, which is not decoded.

    Raises:
        UnreadablePicture: If the file is broken or cut short.
    """
    with _opened(file) as image:
        return int(np.asarray(image).max()) if _is_deep(image) else 0


def read_picture(path: File | Image.Image, *, channels: int, size: tuple[int, ...]) -> Tensor:
    """Decode a picture, turn it upright, and resize and crop its middle to ``size``.

    Args:
        path: The file, or a picture that Pillow has opened, which stays as it is.
        channels: 1 for grey, 3 for colour.
        size: Height and width.

    Returns:
        uint8, shape ``(channels, height, width)``.

    Raises:
        UnreadablePicture: If the file is broken or cut short.
    """
    with _opened(path) as image:
        image.load()
        ImageOps.exif_transpose(image, in_place=True)
        picture = _in_mode(image, "L" if channels == 1 else "RGB")
    if picture.size != (size[1], size[0]):
        picture = ImageOps.fit(picture, (size[1], size[0]), Image.Resampling.BILINEAR)
    pixels = np.asarray(picture).reshape(size[0], size[1], channels)
    return torch.from_numpy(np.array(pixels.transpose(2, 0, 1), order="C"))


def _is_deep(image: Image.Image) -> bool:
    return image.mode.startswith("I;16") or image.mode == "I"


def _in_mode(image: Image.Image, mode: str) -> Image.Image:
    if _is_deep(image):
        deep = np.asarray(image).astype(np.float64)  # Pillow's own conversion clips 16 bits at 255
        if deep.min() < 0 or deep.max() > 65535:
            raise ValueError("its values do not fit into 16 bits; save it with 8 or 16 bits")
        image = Image.fromarray((deep / 257).round().astype(np.uint8))
    if image.mode == "F":
        raise ValueError(
            "it holds floating point numbers, whose range is not known; save it with 8 or 16 bits"
        )
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, image)
    return image.convert(mode)


@contextmanager
def _opened(file: File | Image.Image) -> Iterator[Image.Image]:
    try:
        if isinstance(file, Image.Image):
            yield file.copy()
            return
        with Image.open(file if isinstance(file, Path) else BytesIO(file.content)) as image:
            if isinstance(image, TiffImagePlugin.TiffImageFile):
                _check_flat(image)
            yield image
    except BROKEN as error:
        reason = "it is not a picture" if isinstance(error, UnidentifiedImageError) else str(error)
        raise UnreadablePicture(
            f"{file} cannot be read as a picture: {reason}", str(file)
        ) from None


def _check_flat(image: TiffImagePlugin.TiffImageFile) -> None:
    slices = max(int(image.tag_v2.get(TIFF_DEPTH, 1)), image.n_frames)
    if slices > 1:
        raise ValueError(
            f"it is a stack of {slices} pictures; save the one that counts as a file of its own"
        )
