"""Averaged weights against a loop over numbers; statistics of their own; exact resume."""

import copy
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from skipwise.experiment import build, compose
from skipwise.networks import resnet20
from skipwise.prediction import load
from skipwise.runs import begin
from skipwise.strategies import (
    EMA,
    LAWA,
    SWA,
    Freezing,
    Guard,
    Strategy,
    nesterov,
    schedulefree_sgd,
)
from skipwise.training import Step, load_checkpoint, train, with_own_statistics
from skipwise.weights import read_tensors
from tests.contracts.test_resume import assert_equal, cut_and_resumed, finished
from tests.references import close, rings, rings_file, tensors
from tests.training.policies.test_guard import PLAIN, a_run, normed

AVERAGING = replace(nesterov(), averaging=EMA(decay=0.9))
SMALL = replace(resnet20(), width=4, blocks=(1, 1))


def experiment(folder: Path, **changes):
    path = rings_file(folder / "rings.npz")
    settings = {"steps": 14, "batch_size": 32, **changes}
    return compose(str(path), SMALL, AVERAGING, **settings)


def test_the_average_is_its_recursion(tmp_path: Path):
    run = build(*experiment(tmp_path))[0]
    assert run.average is not None
    wanted = [p.detach().clone() for p in run.model.parameters()]
    for step in train(run):
        decay = min(0.9, (1 + step.step) / (10 + step.step))
        wanted = [decay * a + (1 - decay) * w.detach()
                  for a, w in zip(wanted, run.model.parameters(), strict=True)]  # fmt: skip
    for found, own in zip(run.average.model.parameters(), wanted, strict=True):
        close(found, own)


def test_statistics_are_those_of_the_averaged_network_on_the_training_examples():
    data = rings()
    run = build(compose("digits", SMALL, steps=1)[0], data)[0]
    norm = next(m for m in run.model.modules() if isinstance(m, nn.BatchNorm2d))
    wanted_model = copy.deepcopy(run.model).train()
    means = []
    wanted_norm = dict(wanted_model.named_modules())["stem.norm.norm"]
    wanted_norm.register_forward_pre_hook(
        lambda _, inputs: means.append(inputs[0].double().mean((0, 2, 3)))
    )
    batches = [run.batches.at(step, mixed=False) for step in range(2)]
    for batch in batches:
        wanted_model(batch.inputs)
    with_own_statistics(run.model, run.batches, autocast=None)
    found = norm.get_buffer("running_mean")
    close(found, torch.stack(means).mean(0).float())


class Often(nn.BatchNorm1d):
    """Called twice in every batch but the first, in which it is not called."""

    def __init__(self):
        super().__init__(4)
        self.batches = 0

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        self.batches += 1
        return x if self.batches == 1 else super().__call__(super().__call__(x).square())


def test_statistics_are_bit_for_bit_those_of_torchs_own_mean_over_calls():
    run = build(compose("digits", SMALL, steps=1, batch_size=32)[0], rings())[0]
    norms = Often(), nn.BatchNorm1d(4)
    mine = nn.Sequential(nn.Flatten(), nn.Linear(192, 4), *norms)
    theirs = copy.deepcopy(mine).train()
    for norm in theirs.modules():
        if isinstance(norm, nn.BatchNorm1d):
            norm.momentum = None
    with torch.no_grad():
        for step in range(math.ceil(len(run.batches.examples) / 32)):
            theirs(run.batches.at(step, mixed=False).inputs)
    with_own_statistics(mine, run.batches, autocast=None)
    for name, value in theirs.state_dict().items():
        assert torch.equal(mine.state_dict()[name], value), name
    assert [norm.momentum for norm in norms] == [0.1, 0.1]


def test_statistics_of_batches_in_parts_are_those_of_the_parts():
    run = build(compose("digits", SMALL, AVERAGING, steps=1, parts=3)[0], rings())[0]
    assert run.average is not None
    read = []
    norm = run.average.model.get_submodule("stem.norm.norm")
    norm.register_forward_pre_hook(lambda _, inputs: read.append(inputs[0]))
    found = run.evaluated().get_buffer("stem.norm.norm.running_var")
    assert [len(part) for part in read] == [43, 42, 43] * 2  # of batches of 128
    close(found, torch.stack([part.var((0, 2, 3)) for part in read]).mean(0))


def test_what_is_kept_and_scored_is_the_average(tmp_path: Path):
    made, dataset = experiment(tmp_path, precision="float32")
    session, averages, newest = begin(made, dataset, tmp_path / "a"), {}, {}
    assert session.run.average is not None
    for event in session.events():
        if isinstance(event, Step):
            averages[event.step] = tensors(dict(session.run.average.model.named_parameters()))
            newest[event.step] = tensors(dict(session.run.model.named_parameters()))
    weights = read_tensors(tmp_path / "a" / "best.safetensors")[0]
    best = load_checkpoint(tmp_path / "a" / "last.ckpt")["best"]
    kept = [weights[name] for name, _ in session.run.model.named_parameters()]
    assert all(map(torch.equal, kept, averages[best["step"]]))
    assert not any(map(torch.equal, kept, newest[best["step"]]))
    assert dataset.validation is not None
    raw, labels = dataset.validation.gather(torch.arange(len(dataset.validation)))
    loss = nn.functional.cross_entropy(load(tmp_path / "a").outputs(raw).double(), labels)
    assert best["loss"] == pytest.approx(loss.item(), rel=1e-5)


def test_an_averaged_run_resumes_exactly(tmp_path: Path):
    made, _ = experiment(tmp_path)
    whole, cut = finished(made, tmp_path / "a"), cut_and_resumed(made, tmp_path / "b", 6)
    assert_equal(whole, cut)
    for name, value in whole["run"]["average"].items():
        assert torch.equal(value, cut["run"]["average"][name]), name


@pytest.mark.parametrize("words", ["mixup,cut-mix", "cutout,random-erasing,trivial-augment"])
def test_augmented_runs_resume_exactly(words: str, tmp_path: Path):
    from skipwise.data import find_augmentation

    made, _ = experiment(tmp_path, augmentation=find_augmentation(f"alternating-flip,{words}"))
    assert_equal(finished(made, tmp_path / "a"), cut_and_resumed(made, tmp_path / "b", 6))


def test_frozen_parts_of_an_average_keep_their_statistics():
    data = rings()
    run = build(compose("digits", SMALL, AVERAGING, steps=3, freeze=1)[0], data)[0]
    for _ in train(run):
        pass
    before = {name: value.clone() for name, value in run.model.state_dict().items()}
    after = run.evaluated().state_dict()
    moved = {n for n, v in after.items() if n.endswith("running_mean") and not v.equal(before[n])}
    assert not any(name.startswith(("stem", "trunk.blocks.0.")) for name in moved)
    assert any(name.startswith("trunk.blocks.1.") for name in moved)


@pytest.mark.parametrize(
    "strategy",
    [
        replace(nesterov(), averaging=EMA(decay=0.9)),
        replace(nesterov(), averaging=LAWA(latest=3, distance=0.5)),
        replace(nesterov(), averaging=SWA(last=1.0, every=4)),
        schedulefree_sgd(),
    ],
    ids=["ema", "lawa", "swa", "schedule-free"],
)
def test_parts_that_stopped_are_evaluated_as_they_are_trained_beside(strategy: Strategy):
    stopping = replace(strategy, freezing=Freezing(first=0.5, last=1.0))
    run = build(compose("digits", SMALL, stopping, steps=7)[0], rings())[0]
    for _ in train(run):
        pass
    trained, found = run.model.state_dict(), run.evaluated().state_dict()
    alike = {name for name, value in found.items() if value.equal(trained[name])}
    stopped = {name for name in found if name.startswith(("stem", "trunk.blocks.0."))}
    assert stopped <= alike
    others = {name for name in found if name.endswith(("weight", "running_mean"))} - stopped
    assert not others & alike


def test_swa_is_the_plain_mean_of_the_steps_that_were_taken():
    strategy = replace(PLAIN, averaging=SWA(last=0.9), guard=Guard())
    run, taken = a_run(strategy, normed(), steps=60, poisoned=[7]), []
    for step in train(run):
        if step.step > 6 and not step.skipped:
            taken.append([p.detach().clone() for p in run.model.parameters()])
    assert run.average is not None
    assert len(taken) < 54  # some were skipped
    for found, *weights in zip(run.average.model.parameters(), *taken, strict=True):
        close(found, torch.stack(weights).mean(0))
