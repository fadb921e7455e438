"""Several labels a picture, from folders, tables and Parquet, through training to a prediction."""

import io
import json
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

import skipwise
from skipwise.data import Dataset, Folder, Parquet, Shares, Table
from tests.cli.commands import call, fails

WHOLE = Shares(validation=0.0, test=0.0)
NAMES = ("blue", "green", "red")
SETS = [(), ("red",), ("green",), ("blue",), ("green", "red"), ("blue", "red")]


def picture(labels: tuple[str, ...], noise: np.random.Generator) -> Image.Image:
    pixels = noise.integers(0, 60, (9, 9, 3))
    for name in labels:
        pixels[..., ("red", "green", "blue").index(name)] += 180
    return Image.fromarray(pixels.astype(np.uint8))


@pytest.fixture
def table(tmp_path: Path) -> str:
    noise = np.random.default_rng(0)
    lines = ["file,labels"]
    for n in range(120):
        labels = SETS[n % len(SETS)]
        picture(labels, noise).save(tmp_path / f"{n}.png")
        text = ";|"[n % 2].join(labels)
        lines.append(f'{n}.png,"{text}"')
    (tmp_path / "colours.csv").write_text("\n".join(lines))
    return str(tmp_path / "colours.csv")


def targets_of(data: Dataset) -> list[list[float]]:
    return data.train.gather(torch.arange(len(data.train)))[1].tolist()


def wanted(labels: tuple[str, ...]) -> list[float]:
    return [float(name in labels) for name in NAMES]


def test_a_table_gives_rows_of_zeros_and_ones(table: str):
    data = Table(path=table, multi_label=True, shares=WHOLE).load()
    assert (data.task, data.classes, data.ends.outputs) == ("multi-label", NAMES, (3,))
    assert targets_of(data) == [wanted(SETS[n % len(SETS)]) for n in range(120)]


def test_lists_of_strings_in_parquet_are_labels(tmp_path: Path):
    images, noise = [], np.random.default_rng(0)
    for labels in SETS:
        picture(labels, noise).save(buffer := io.BytesIO(), "PNG")
        images.append(buffer.getvalue())
    columns = {"image": images, "labels": [list(labels) for labels in SETS]}
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    data = Parquet(path=str(tmp_path / "t.parquet"), multi_label=True, shares=WHOLE).load()
    assert targets_of(data) == [wanted(labels) for labels in SETS]


def test_a_class_folder_with_a_plus_and_links_give_several_labels(tmp_path: Path):
    noise = np.random.default_rng(0)
    for name in ("red", "green", "blue+red"):
        (tmp_path / "s" / name).mkdir(parents=True)
        for n in range(2):
            picture(tuple(name.split("+")), noise).save(tmp_path / "s" / name / f"{n}.png")
    os.symlink(tmp_path / "s" / "red" / "1.png", tmp_path / "s" / "green" / "linked.png")
    os.link(tmp_path / "s" / "red" / "0.png", tmp_path / "s" / "green" / "hard.png")
    data = Folder(path=str(tmp_path / "s"), multi_label=True, shares=WHOLE).load()
    assert data.classes == NAMES
    expected = [("blue", "red")] * 2 + [("green",)] * 2 + [("green", "red")] * 2
    assert sorted(targets_of(data)) == sorted(wanted(labels) for labels in expected)
    plain = Folder(path=str(tmp_path / "s"), shares=WHOLE).load()
    assert plain.classes == ("blue+red", "green", "red")


def test_every_label_keeps_examples_in_every_part(table: str):
    data = Table(path=table, multi_label=True).load()
    for part in (data.train, data.validation, data.test):
        assert part is not None
        assert (part.gather(torch.arange(len(part)))[1].sum(0) > 0).all()
    assert data.test is not None
    assert len(data.test) == 24


def test_training_evaluation_and_prediction_of_several_labels(capsys, table: str, tmp_path: Path):
    words = "--multi-label --epochs 15 --batch-size 16 --out run --json".split()
    words += "--set network.width=8 --set network.blocks=[1,1]".split()
    code, out, err = call(capsys, "train", table, *words)
    assert code == 0, err
    assert "colours: multi-label, 3 classes" in err
    scores = json.loads(out)["test"]["metrics"]
    assert scores["f1"] > 0.9
    again = json.loads(call(capsys, "evaluate", "run", "--json")[1])
    assert again.items() >= scores.items()
    found = json.loads(call(capsys, "predict", "run", str(tmp_path / "4.png"), "--json")[1])
    assert found["predictions"][0]["class"] == "green+red"
    assert all(p >= 0.5 for p in list(found["predictions"][0]["probabilities"].values())[1:])
    assert json.loads(call(capsys, "evaluate", "run", table, "--json")[1])["examples"] == 120
    label = skipwise.load("run").predict(torch.zeros(1, 3, 9, 9, dtype=torch.uint8))[0].label
    assert label == ""


def test_smoothing_of_several_labels_is_refused(capsys, table: str):
    words = ("train", table, "--multi-label", "--set", "strategy.label_smoothing=0.1")
    assert "label_smoothing has no effect on several labels" in fails(capsys, *words)
    words = ("train", table, "--multi-label", "--set", "strategy.loss=binary")
    assert "strategy.loss=binary is a choice for one class out of several" in fails(capsys, *words)


def test_a_table_without_any_label_is_refused(tmp_path: Path):
    for n in range(4):
        picture((), np.random.default_rng(n)).save(tmp_path / f"{n}.png")
    rows = "".join(f"{n}.png,\n" for n in range(4))
    (tmp_path / "list.csv").write_text("file,labels\n" + rows)
    with pytest.raises(ValueError, match="has no label in any row"):
        Table(path=str(tmp_path / "list.csv"), multi_label=True).load()
