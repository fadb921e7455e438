"""Folders of runs whose stories are known, written by hand."""

import json
from collections.abc import Sequence
from pathlib import Path

from skipwise.records import (
    EvaluationRecord,
    Event,
    Evidence,
    PartEvidence,
    StepRecord,
    evidence_to_text,
    to_line,
)

FACTS = {
    "data": "stones",
    "task": "classification",
    "classes": ["flint", "slate"],
    "digest": "d",
    "examples": {"train": 800, "validation": 400, "test": 1000},
    "network": "resnet20",
    "parameters": 1234,
    "strategy": "momentum",
    "seed": 0,
    "metric": "accuracy",
    "higher": True,
    "device": "cpu",
    "steps": 80,
}


def told(
    folder: Path,
    accuracies: Sequence[float],
    losses: Sequence[float],
    trained: Sequence[float],
    *,
    state: str = "finished",
    test: float | None = 0.9,
    facts: dict | None = None,
) -> Path:
    """Write a run that was evaluated after every 10 steps, with these values."""
    events: list[Event] = []
    for n, (accuracy, held, loss) in enumerate(zip(accuracies, losses, trained, strict=True), 1):
        events += [a_step(step, loss) for step in range(10 * n - 9, 10 * n + 1)]
        events.append(an_evaluation(10 * n, "validation", 400, accuracy, held))
    if test is not None:
        events.append(an_evaluation(10 * len(accuracies), "test", 1000, test, 0.3))
    folder.mkdir(parents=True)
    (folder / "metrics.jsonl").write_text("".join(map(to_line, events)))
    (folder / "experiment.yaml").write_text("is: skipwise.experiment.Experiment\nseed: 0\n")
    behind = PartEvidence(step=80, examples=1000, confusion=[[0, 0, 600], [0, 1, 100], [1, 1, 300]])
    evidence = Evidence(facts={**FACTS, **(facts or {})}, state=state, parts={"test": behind})
    (folder / "evidence.json").write_text(evidence_to_text(evidence))
    return folder


def a_step(step: int, loss: float) -> StepRecord:
    return StepRecord(
        step=step,
        epoch=step / 10,
        loss=loss,
        rate=0.1,
        gradient_norm=1.0,
        examples=80,
        seconds=0.01,
        accuracy=0.5,
    )


def an_evaluation(
    step: int, part: str, examples: int, accuracy: float, loss: float
) -> EvaluationRecord:
    metrics = {"accuracy": accuracy, "loss": loss}
    by_class = {"precision": [0.9, 0.9], "recall": [0.9, 0.9], "f1": [0.9, 0.9]}
    return EvaluationRecord(
        step=step,
        part=part,
        examples=examples,
        metrics=metrics,
        seconds=0.1,
        per_class={**by_class, "examples": [700, 300]} if part == "test" else {},
    )


def figures_in(page: str) -> list[dict]:
    """Read the figures out of a page, as its program does."""
    pieces = page.split('<script type="application/json"')[1:]
    return [json.loads(piece.split(">", 1)[1].split("</script>")[0]) for piece in pieces]


def judged(folder: Path, metric: str, values: Sequence[float], test: float) -> Path:
    """Let a run that was told be judged by another metric, with these values."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    held = [line for line in lines if line["event"] == "evaluation"]
    for line, value in zip(held, [*values, test], strict=True):
        line["metrics"][metric] = value
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "metrics.jsonl").write_text(text)
    evidence = json.loads((folder / "evidence.json").read_text())
    evidence["facts"] |= {"metric": metric, "higher": metric not in ("loss", "rmse")}
    (folder / "evidence.json").write_text(json.dumps(evidence))
    return folder
