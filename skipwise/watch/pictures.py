"""From a raw input to a small picture that stands in a page."""

import base64
import io
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

LARGEST = 96  # pixels of the longer side, as many as the page gives it
EXACT = 64  # up to which a picture is kept bit for bit
QUALITY = 90  # of JPEG, from 0 to 100


def picture_of(raw: Tensor) -> str:
    """Write an example in base64, as PNG, or JPEG if large and shorter so; empty if no picture.

    Numbers that are not bytes are stretched so that the least is black and the largest white.

    Args:
        raw: Shape ``(channels, height, width)``, with 1 or 3 channels.
    """
    if raw.dim() != 3 or raw.shape[0] not in (1, 3):
        return ""
    array = raw.detach().cpu().permute(1, 2, 0).numpy()
    if array.dtype != np.uint8:
        low, high = float(array.min()), float(array.max())
        array = ((array - low) * (255 / max(high - low, 1e-12))).round().astype(np.uint8)
    picture = Image.fromarray(array[..., 0] if array.shape[2] == 1 else array)
    if max(picture.size) > LARGEST:
        picture.thumbnail((LARGEST, LARGEST))
    written = _written(picture, format="PNG", optimize=True)
    if max(picture.size) > EXACT:
        written = min(written, _written(picture, format="JPEG", quality=QUALITY), key=len)
    return base64.b64encode(written).decode()


def _written(picture: Image.Image, **how: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, **how)
    return file.getvalue()
