"""ResNets for CIFAR-10 that others trained: their logits and their published accuracy here."""

import io
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from torch import Tensor

from skipwise.data import imagenet_preprocessing
from skipwise.weights import load_network, save_as

FILES = {"resnet20": "resnet20-12fca82f.th", "resnet56": "resnet56-4bfd9763.th"}
READ = imagenet_preprocessing((32, 32))


def logits(network: torch.nn.Module, pictures: Tensor) -> Tensor:
    with torch.inference_mode():
        return torch.cat([network(READ(part)) for part in pictures.split(500)])


def jpeg_test_part(folder: Path) -> tuple[Tensor, Tensor]:
    table = pq.read_table(folder / "cifar10_jpeg" / "test.parquet")
    pictures = [np.asarray(Image.open(io.BytesIO(b))) for b in table["image"].to_pylist()]
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2), torch.tensor(
        table["label"].to_pylist()
    )


@pytest.mark.parametrize("name", FILES)
def test_weights_trained_by_others_give_the_logits_of_others(shared: Path, name: str):
    folder = shared / "resnet_cifar10_weights"
    pictures = torch.from_numpy(np.load(folder / "cifar10_png20.npz")["x"]).permute(0, 3, 1, 2)
    wanted = torch.from_numpy(np.load(folder / "reference_logits.npz")[f"{name}_png20"])
    network = load_network(folder / FILES[name])
    assert (logits(network, pictures) - wanted).abs().max() < 1e-3
    save_as("again.pth", network, "cifar")
    assert (logits(load_network("again.pth"), pictures) - wanted).abs().max() < 1e-3


@pytest.mark.parametrize(
    ("name", "percent"),
    [("resnet20", 81.03), pytest.param("resnet56", 83.20, marks=pytest.mark.slow)],
)
def test_they_score_on_the_jpeg_test_part_what_was_measured(shared: Path, name, percent):
    folder = shared / "resnet_cifar10_weights"
    pictures, labels = jpeg_test_part(shared)
    found = logits(load_network(folder / FILES[name]), pictures)
    wanted = torch.from_numpy(np.load(folder / "reference_logits.npz")[f"{name}_jpeg_test"])
    assert (found - wanted).abs().max() < 1e-3
    assert abs(100 * (found.argmax(1) == labels).double().mean().item() - percent) <= 0.05
