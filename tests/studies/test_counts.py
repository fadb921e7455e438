"""What a study counts of its runs' steps: clipped, skipped, rolled back; multiplications."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np

from skipwise.comparison import ArmRun, study_from_text
from skipwise.networks import fixup20, measure_size
from skipwise.strategies import (
    ASAM,
    LBFGS,
    SAM,
    SGD,
    AdaptiveClipping,
    Constant,
    Guard,
    Strategy,
    ZClip,
    nesterov,
)
from skipwise.studies import carry_on
from tests.studies.small import NETWORK, small_study

STEPS, BATCH, LIMIT = 6, 32, 0.3
PLAIN = Strategy(name="plain", optimiser=SGD(), peak_lr=0.01, schedule=Constant())


def runs_of(folder: Path, *strategies: Strategy, **fields: Any) -> dict[str, tuple[ArmRun, list]]:
    """Train a run of each strategy; give what the study recorded, and the lines of its journal."""
    study, dataset = small_study(folder, *strategies, seeds=1, **fields)
    carry_on(study, dataset, folder / "s", quiet=True, report=False)
    record = study_from_text((folder / "s" / "record.json").read_text())
    return {
        run.arm: (run, [json.loads(line) for line in (folder / "s" / run.path / "metrics.jsonl")
                        .read_text().splitlines()])
        for run in record.runs
    }  # fmt: skip


def norms(lines: list[dict]) -> np.ndarray:
    return np.array([line["gradient_norm"] for line in lines if line["event"] == "step"])


def test_clips_of_every_kind_are_counted(tmp_path: Path):
    found = runs_of(
        tmp_path,
        dataclasses.replace(PLAIN, name="none"),
        dataclasses.replace(PLAIN, name="norm", clip_norm=LIMIT),
        dataclasses.replace(PLAIN, name="always", gradient=(AdaptiveClipping(ratio=1e-9),)),
        dataclasses.replace(PLAIN, name="never", gradient=(AdaptiveClipping(ratio=1e9),)),
        dataclasses.replace(PLAIN, name="outliers", gradient=(ZClip(settling=2, threshold=1e-6),)),
        steps=STEPS,
    )
    counted = {name: run.clipped for name, (run, _) in found.items()}
    above = int((norms(found["norm"][1]) > LIMIT).sum())
    assert above > 0
    assert (counted["none"], counted["never"], counted["always"]) == (0, 0, STEPS)
    assert counted["norm"] == above
    mean, longer = norms(found["outliers"][1])[:2].mean(), 0
    for norm in norms(found["outliers"][1])[2:]:
        longer += norm > mean
        mean = 0.97 * mean + 0.03 * min(norm, mean)
    assert 0 < counted["outliers"] == longer


def test_what_a_guard_skipped_and_took_back_is_counted(tmp_path: Path):
    # Strict: a small rise of the norm is refused.
    guard = Guard(patience=2, every=5, age=3, settling=5, window=20, sigmas=1.1, ratio=1.1)
    wild = dataclasses.replace(nesterov(), name="wild", peak_lr=30.0, guard=guard)
    network = dataclasses.replace(fixup20(), width=4, blocks=(1, 1))
    found = runs_of(tmp_path, PLAIN, wild, steps=40, networks=(network,))
    run, lines = found["wild"]
    assert run.skipped == sum(line.get("skipped", False) for line in lines) > 0
    assert (
        run.rolled_back == sum("the run returned to its state" in str(line) for line in lines) > 0
    )
    assert (found["plain"][0].skipped, found["plain"][0].rolled_back) == (0, 0)


def test_multiplications_to_the_target_are_those_of_all_gradients(tmp_path: Path):
    several = {"plain": SGD(), "sam": SAM(base=SGD()), "asam": ASAM(base=SGD()), "lbfgs": LBFGS()}
    strategies = [
        dataclasses.replace(PLAIN, name=name, optimiser=rule) for name, rule in several.items()
    ]
    found = runs_of(tmp_path, *strategies, steps=STEPS, target=0.001)
    _, dataset = small_study(tmp_path)
    forward = measure_size(NETWORK.build(dataset.ends), dataset.ends.inputs).macs
    for name, gradients in (("plain", 1), ("sam", 2), ("asam", 2)):
        run = found[name][0]
        assert run.steps_to_target > 0
        assert run.macs_to_target == 3 * forward * BATCH * gradients * run.steps_to_target
    run, lines = found["lbfgs"]
    asked = [line["gradients"] for line in lines if line["event"] == "step"]
    assert max(asked) > 2
    assert run.macs_to_target == 3 * forward * BATCH * sum(asked[: int(run.steps_to_target)])
