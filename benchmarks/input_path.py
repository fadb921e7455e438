"""Images a second that the input path gives, against torchvision's recipe and what training takes.

On pictures of smoothed noise, JPEG of quality 90, made for the purpose: a folder and a Parquet file
decoded once; batches from memory, with pad-and-crop and flip; batches decoded by workers as they
are used; torchvision's recipe (ImageFolder, transforms v2, DataLoader) with 0, 1 and 2 workers, of
which the best counts; and the images a second that ResNet-18 trains on. The measurements take turns
and the median counts. Run it alone: ``python benchmarks/input_path.py --pictures 10000``.
"""

import argparse
import io
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from conditions import conditions
from PIL import Image, ImageFilter
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from skipwise.data import Batches, Dataset, Flip, Folder, PadCrop, Parquet, Shares
from skipwise.networks import build_network, resnet18
from skipwise.training import place_model

CPU, BATCH, CLASSES = torch.device("cpu"), 128, 10
WHOLE = Shares(validation=0.0, test=0.0)
WORKERS = (0, 1, 2)


def make(above: Path, pictures: int, side: int) -> None:
    """Write the folder and the Parquet file, of the same JPEGs."""
    noise, images, labels = np.random.default_rng(0), [], []
    for n in range(pictures):
        pixels = noise.integers(0, 256, (side, side, 3), dtype=np.uint8)
        smooth = Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(2))
        smooth.save(buffer := io.BytesIO(), "JPEG", quality=90)
        path = above / "folder" / str(n % CLASSES) / f"{n:06}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(buffer.getvalue())
        images.append(buffer.getvalue())
        labels.append(n % CLASSES)
    pq.write_table(pa.table({"image": images, "label": labels}), above / "all.parquet")


def loading(load: Callable[[], Dataset]) -> float:
    """Give the images a second of finding, decoding and counting a whole set."""
    started = time.perf_counter()
    dataset = load()
    return len(dataset.train) / (time.perf_counter() - started)


def batching(dataset: Dataset, side: int) -> float:
    """Give the images a second of one epoch of augmented, normalised batches."""
    augmentation = (PadCrop(padding=side // 8), Flip())
    batches = Batches(
        dataset.train,
        dataset.preprocessing,
        size=BATCH,
        seed=0,
        augmentation=augmentation,
        device=CPU,
    )
    batches[0]  # workers start here, once a run
    steps = max(len(dataset.train) // BATCH, 1)
    started = time.perf_counter()
    for step in range(1, steps + 1):
        batches[step]
    rate = steps * batches.size / (time.perf_counter() - started)
    batches.close()
    return rate


def torchvision_recipe(folder: Path, side: int, workers: int) -> float:
    """Give the images a second of one epoch of torchvision's recipe, after its workers started."""
    recipe = v2.Compose([
        v2.PILToTensor(),
        v2.RandomCrop(side, padding=side // 8),
        v2.RandomHorizontalFlip(),
        v2.ToDtype(torch.float32, scale=True),
        v2.Normalize((0.5, 0.5, 0.5), (0.25, 0.25, 0.25)),
    ])
    loader = DataLoader(
        ImageFolder(str(folder), recipe),
        BATCH,
        shuffle=True,
        num_workers=workers,
        persistent_workers=workers > 0,
    )
    batches = iter(loader)
    next(batches)
    started, seen = time.perf_counter(), 0
    for pictures, _ in batches:
        seen += len(pictures)
    return seen / (time.perf_counter() - started)


def training(dataset: Dataset, steps: int) -> float:
    """Give the images a second that ResNet-18 takes in training, its input ready."""
    model = place_model(build_network(resnet18(), dataset.ends), CPU).train()
    optimiser = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    batch = Batches(dataset.train, dataset.preprocessing, size=BATCH, seed=0, device=CPU)[0]
    started = 0.0
    for step in range(steps + 1):
        if step == 1:  # the first warms up
            started = time.perf_counter()
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(model(batch.inputs), batch.targets).backward()
        optimiser.step()
    return steps * len(batch) / (time.perf_counter() - started)


def measured(above: Path, side: int, repeats: int, steps: int) -> dict[str, float]:
    """Take all measurements in turn and give their medians."""
    folder = Folder(path=str(above / "folder"), shares=WHOLE)
    table = Parquet(path=str(above / "all.parquet"), shares=WHOLE)
    held = folder.load()
    streamed = Folder(path=folder.path, shares=WHOLE, memory_bytes=0).load()
    ways: dict[str, Callable[[], float]] = {
        "folder, decoded once": lambda: loading(folder.load),
        "Parquet, decoded once": lambda: loading(table.load),
        "batches from memory, augmented": lambda: batching(held, side),
        "batches decoded by workers, augmented": lambda: batching(streamed, side),
        **{
            f"torchvision, {n} workers": lambda n=n: torchvision_recipe(above / "folder", side, n)
            for n in WORKERS
        },
        "ResNet-18 in training": lambda: training(held, steps),
    }
    found: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, way in ways.items():
            found[name].append(way())
    return {name: median(rates) for name, rates in found.items()}


def main() -> None:
    """Measure, print a table, write numbers.json where it is wanted."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--pictures", type=int, default=2000)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--steps", type=int, default=3, help="of training, each repeat")
    parser.add_argument("--out", type=Path, help="a file for the numbers, as JSON")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as above:
        make(Path(above), options.pictures, options.side)
        rates = measured(Path(above), options.side, options.repeats, options.steps)
    best = max(rates[f"torchvision, {n} workers"] for n in WORKERS)
    taken = rates["ResNet-18 in training"]
    print("| | images/s | of torchvision's best | of what ResNet-18 takes |")
    print("|---|---:|---:|---:|")
    for name, rate in rates.items():
        print(f"| {name} | {rate:,.0f} | {rate / best:.2f} | {rate / taken:.1f} |")
    held = {
        **{name: value for name, value in vars(options).items() if name != "out"},
        "batch": BATCH,
        **conditions("torchvision"),
    }
    print(", ".join(f"{name} {value}" for name, value in held.items()))
    if options.out is not None:
        options.out.write_text(json.dumps({"conditions": held, "images_per_second": rates}))


if __name__ == "__main__":
    main()
