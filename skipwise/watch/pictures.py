"""From a raw input to a small picture that stands in a page."""

import base64
import io

import numpy as np
from PIL import Image
from torch import Tensor

LARGEST = 112  # pixels of the longer side


def picture_of(raw: Tensor) -> str:
    """Write an example as a PNG in base64; empty if it is no picture.

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
    file = io.BytesIO()
    picture.save(file, format="PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode()
