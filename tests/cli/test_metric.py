"""``--metric``: what best weights, patience, target and studies go by, instead of the accuracy."""

import json
from pathlib import Path

import numpy as np
import pytest

import skipwise
from skipwise.data import Arrays
from skipwise.networks import mlp
from skipwise.records import EvaluationRecord, read_journal
from skipwise.strategies import momentum
from skipwise.training import load_checkpoint, save_checkpoint
from tests.cli.commands import SMALL, call, fails
from tests.studies.small import SETTINGS


def uneven(folder: Path) -> Arrays:
    """Two kinds of points that overlap, nineteen of the first for one of the second."""
    noise = np.random.default_rng(0)
    y = (np.arange(1200) % 20 == 0).astype(np.int64)
    x = noise.normal(0, 1, (1200, 2)) + 1.5 * y[:, None]
    np.savez(folder / "uneven.npz", x=x.astype(np.float32), y=y)
    return Arrays(path=str(folder / "uneven.npz"))


def validated(run: str) -> list[EvaluationRecord]:
    events = read_journal(Path(run) / "metrics.jsonl")
    return [e for e in events if isinstance(e, EvaluationRecord) and e.part == "validation"]


def test_the_kept_weights_are_the_best_by_the_metric(tmp_path: Path):
    steps = {}
    for metric in ("accuracy", "balanced_accuracy", "loss"):
        run = skipwise.train(
            uneven(tmp_path),
            mlp(),
            momentum(),
            metric=metric,
            class_weights=True,
            epochs=8,
            out=str(tmp_path / metric),
            report=False,
            quiet=True,
        )
        sign = -1 if metric == "loss" else 1
        best = max(
            validated(run.path),
            key=lambda e, m=metric, s=sign: (s * e.metrics[m], -e.metrics["loss"], -e.step),
        )
        assert run.validation == best
        steps[metric] = best.step
    assert len(set(steps.values())) > 1, steps


def test_patience_goes_by_the_metric(capsys, rings: str):
    words = ("--steps", "60", "--metric", "loss", "--patience", "2")
    call(capsys, "train", rings, *words, "--set", "strategy.peak_lr=1e-9", "--out", "r", *SMALL)
    best = load_checkpoint(Path("r/last.ckpt"))["best"]
    losses = [e.metrics["loss"] for e in validated("r")]
    assert (best["metric"], best["value"]) == ("loss", min(losses))
    assert "metric: loss\n" in Path("r/experiment.yaml").read_text()
    assert best["since"] == len(losses) - 1 - losses.index(min(losses))


def test_a_target_is_in_the_metrics_unit(capsys, rings: str):
    words = ("train", rings, "--steps", "12", "--metric", "loss", "--target")
    code, _, err = call(capsys, *words, "50", "--out", "near", *SMALL)
    assert code == 0, err
    assert "the target 50 of loss is reached" in Path("near/metrics.jsonl").read_text()
    code, _, err = call(capsys, *words, "1e-9", "--set", "doublings=0", "--out", "far", *SMALL)
    assert code == 1
    assert "the target 1e-09 was not reached" in err
    assert "a target of a loss or an error must be positive" in fails(capsys, *words, "-1", *SMALL)
    told = fails(capsys, "train", rings, "--metric", "f1", "--target", "92", *SMALL)
    assert "a target is a share in (0, 1]" in told


def test_a_wrong_metric_is_one_sentence_and_leaves_no_folder(capsys, rings: str):
    told = fails(capsys, "train", rings, "--metric", "balanced-accuracy", *SMALL)
    assert "there is no metric 'balanced-accuracy' for classification, only accuracy, bal" in told
    assert told.rstrip().endswith("did you mean 'balanced_accuracy'?")
    assert not Path("runs").exists()


def test_a_run_that_has_begun_keeps_its_metric(capsys, rings: str):
    call(capsys, "train", rings, "--steps", "6", "--metric", "f1", "--out", "r", *SMALL)
    told = fails(capsys, "resume", "r", "--steps", "8", "--set", "metric=loss", "--quiet")
    assert "'metric' would make it another run" in told
    text = Path("r/experiment.yaml").read_text()
    Path("r/experiment.yaml").write_text(text.replace("metric: f1\n", "metric: loss\n"))
    told = fails(capsys, "resume", "r", "--steps", "8", "--quiet")
    assert "were chosen by f1, so it cannot go on by loss; give metric back" in told


@pytest.mark.parametrize(("line", "goes_on"), [("", True), ("metric: f1\n", False)])
def test_a_run_of_before_there_was_a_choice_goes_on_by_accuracy(
    capsys, rings: str, line: str, goes_on: bool
):
    call(capsys, "train", rings, "--steps", "6", "--out", "old", *SMALL)
    text, state = Path("old/experiment.yaml").read_text(), load_checkpoint(Path("old/last.ckpt"))
    assert "metric: null\n" in text
    Path("old/experiment.yaml").write_text(text.replace("metric: null\n", line))
    del state["best"]["metric"]
    save_checkpoint(Path("old"), state)
    words = ("resume", "old", "--steps", "8", "--quiet")
    if goes_on:
        assert call(capsys, *words)[0] == 0
    else:
        assert "were chosen by accuracy, so it cannot go on by f1" in fails(capsys, *words)


@pytest.mark.processes
def test_a_study_scores_by_its_metric(capsys, rings: str):
    words = ("compare", rings, "--network", "resnet20", "--strategy", "sgd,momentum")
    words = (*words, "--steps", "6", "--seeds", "1", *SETTINGS, "--quiet", "--out", "s")
    told = fails(capsys, *words, "--metric", "los")
    assert "there is no metric 'los' for classification, only accuracy" in told
    told = fails(capsys, *words, "--vary", "metric=loss,f1")
    assert "and one metric, so metric cannot vary" in told
    assert not Path("s").exists()
    code, out, err = call(capsys, *words, "--metric", "loss", "--target", "9")
    assert code == 0, err
    assert "loss on rings" in out
    assert "The score is loss, of the examples held out; lower is better." in out
    record = json.loads(Path("s/record.json").read_text())
    assert (record["design"]["metric"], record["design"]["lower_is_better"]) == ("loss", True)
    for run in record["runs"]:
        events = [*read_journal(Path("s") / run["path"] / "metrics.jsonl")]
        scores = [e for e in events if isinstance(e, EvaluationRecord)]
        assert run["score"] == scores[-1].metrics["loss"]
        assert run["curve"][0]["score"] == scores[0].metrics["loss"]
        assert run["steps_to_target"] == scores[0].step
    assert "another study: experiment.metric is loss there and f1 here" in fails(
        capsys, "compare", "s", "--metric", "f1", "--target", "0.9", "--quiet"
    )
