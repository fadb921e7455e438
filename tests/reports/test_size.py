"""A page stays below six megabytes, of which plotly alone has 4.8, whatever the network."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

import skipwise
from skipwise.records import (
    Evidence,
    MeasureRecord,
    Mistake,
    PartEvidence,
    evidence_to_text,
    to_line,
)
from skipwise.reports import read_run
from skipwise.reports.inside import gradients
from skipwise.watch import picture_of
from tests.reports.runs import FACTS
from tests.reports.test_inside import with_norms
from tests.reports.test_predictions import with_classes


def test_the_heat_map_holds_each_value_once_and_few_columns(tmp_path: Path):
    layers = [f"trunk.blocks.{n}.branch.conv1" for n in range(1000)]
    norms = [dict.fromkeys(layers, 1 / 3) for _ in range(100)]
    chart = gradients(read_run(with_norms(tmp_path / "run", *norms)))
    assert chart is not None
    (heat,) = chart.figure["data"]
    assert "text" not in heat
    assert (heat["x"][0], heat["x"][-1], len(heat["x"])) == (10, 1000, 30)
    assert np.array(heat["z"]).shape == (1000, 30)
    assert heat["z"][0][0] == -0.477


def layers_of(blocks: int) -> list[str]:
    names = [f"trunk.blocks.{n}.branch.conv{k}" for n in range(blocks) for k in (1, 2)]
    return ["stem.conv", *names, "head.linear"]


def through_the_depth(blocks: int) -> list[MeasureRecord]:
    """Give what is measured of each block: by every run, and by the monitor of gradients."""
    noise = np.random.default_rng(1)
    columns = ("gradient norm", "second moment", "branch share")
    kinds = ["branch share", *(f"watch gradients: {column}" for column in columns)]
    cost = {"examples": 8.0, "seconds": 0.1}
    return [
        MeasureRecord(step=0, name="watch gradients", values=cost),
        *(
            MeasureRecord(
                step=step,
                name=kind,
                values={f"trunk.blocks.{n}": value for n, value in enumerate(noise.random(blocks))},
            )
            for step in range(0, 80, 10)
            for kind in kinds
        ),
    ]


def of_noise(count: int) -> list[Mistake]:
    raw = np.random.default_rng(2).integers(0, 256, (count, 3, 224, 224), dtype=np.uint8)
    return [
        Mistake(index=n, truth=0, said=1, probability=1, probability_of_truth=0, picture=picture)
        for n, picture in enumerate(map(picture_of, torch.from_numpy(raw)))
    ]


@pytest.mark.parametrize("blocks", [600, 3000])
def test_a_page_of_a_very_deep_network_and_of_noise_stays_below_six_megabytes(
    tmp_path: Path, blocks: int
):
    layers = layers_of(blocks)
    norms = 10 ** np.random.default_rng(0).uniform(-9, 9, (200, len(layers)))
    run = with_norms(tmp_path / "run", *(dict(zip(layers, row, strict=True)) for row in norms))
    with (run / "metrics.jsonl").open("a") as file:
        file.write("".join(map(to_line, through_the_depth(blocks))))
    pairs = [[n // 120, n % 120, n % 100] for n in range(120 * 120)]  # the largest matrix
    behind = PartEvidence(step=80, examples=1000, confusion=pairs, mistakes=of_noise(24))
    facts = {**FACTS, "classes": []}
    evidence = Evidence(facts=facts, state="finished", parts={"test": behind})
    (run / "evidence.json").write_text(evidence_to_text(evidence))
    assert skipwise.report(run).stat().st_size < 6_000_000


def test_a_page_of_thousands_of_classes_stays_below_six_megabytes(tmp_path: Path):
    pairs = [[n, n * 7 % 6000, 3] for n in range(6000)]
    run = with_classes(tmp_path / "run", 6000, pairs, mistakes=of_noise(24))
    page = skipwise.report(run)
    assert page.stat().st_size < 6_000_000
    text = page.read_text()
    assert "Metrics of each class. Of 6,000 classes 1,000 are shown, evenly spread." in text
    assert "Of 6,000 classes the 40 lowest are shown; the table has 1,000, evenly spread." in text
    named = re.findall(r'<th scope="row">c\d', text)
    assert len(named) == 1000 + 40  # and the most frequent mistakes
