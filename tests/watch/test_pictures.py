"""A picture that stands in a page costs little, and a small one is kept as it is."""

import base64
import io

import numpy as np
import torch
from PIL import Image

from skipwise.watch import picture_of


def test_a_small_picture_is_kept_bit_for_bit():
    raw = torch.randint(0, 256, (3, 32, 32), dtype=torch.uint8)
    read = np.array(Image.open(io.BytesIO(base64.b64decode(picture_of(raw)))))
    assert (read == raw.permute(1, 2, 0).numpy()).all()


def test_numbers_that_are_no_bytes_are_stretched_from_black_to_white():
    raw = torch.tensor([[[-1.0, 0.0], [1.0, 3.0]]])
    read = np.array(Image.open(io.BytesIO(base64.b64decode(picture_of(raw)))))
    assert read.tolist() == [[0, 64], [128, 255]]  # 255·(x + 1)/4, rounded
    assert picture_of(torch.zeros(2, 4, 4)) == picture_of(torch.zeros(5)) == ""


def test_a_large_picture_costs_at_most_20_kilobytes():
    raw = torch.randint(0, 256, (3, 300, 200), dtype=torch.uint8)
    assert len(picture_of(raw)) < 20_000
