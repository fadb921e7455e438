"""Measuring changes nothing, and what is measured is what the formulas say."""

import dataclasses
import math
import random
import time
from collections import Counter
from collections.abc import Generator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from skipwise.connections import Additive, ConnectionDescription
from skipwise.data import Batch, InMemory, Own, in_order
from skipwise.experiment import Experiment, build, compose
from skipwise.networks import Block, Network, Residual, build_network, resnet20
from skipwise.records import (
    EvaluationRecord,
    MeasureRecord,
    StepRecord,
    evidence_from_text,
    read_journal,
)
from skipwise.reports import read_run
from skipwise.reports.inside import EVALUATION, OTHER, spent
from skipwise.reports.verdict import headline, verdict
from skipwise.runs import begin, go_on
from skipwise.strategies import EMA, Guard, nesterov
from skipwise.tasks import Classification, Regression
from skipwise.training import Diverged, Step, evaluate, train
from skipwise.watch import Witness, branch_shares, layer_norms, layers_of
from tests.references import CONNECTIONS, SMALL, randomised, rings, rings_file

TINY = dataclasses.replace(resnet20(), width=4, blocks=(1, 1))


def experiment(tmp_path: Path, **changes) -> Experiment:
    path = rings_file(tmp_path / "rings.npz")
    return compose(str(path), TINY, **{"steps": 14, "batch_size": 32, **changes})[0]


def measured(folder: Path, name: str) -> list[MeasureRecord]:
    events = read_journal(folder / "metrics.jsonl")
    return [e for e in events if isinstance(e, MeasureRecord) and e.name == name]


def test_training_with_and_without_watching_gives_the_same_bits(tmp_path: Path):
    described = experiment(tmp_path)
    watched = begin(described, described.data.load(), tmp_path / "run")
    for _ in watched.events():
        pass
    alone, _ = build(described, described.data.load())
    for _ in train(alone):
        pass
    for name, value in alone.model.state_dict().items():
        assert torch.equal(value, watched.run.model.state_dict()[name]), name


def test_a_run_that_goes_on_measures_each_step_once(tmp_path: Path):
    described = experiment(tmp_path)
    session = begin(described, described.data.load(), tmp_path / "run")
    for event in session.events():
        if isinstance(event, Step) and event.step == 5:
            session.save()
        if isinstance(event, Step) and event.step == 8:
            break
    for _ in go_on(tmp_path / "run")[0].events():
        pass
    assert [m.step for m in measured(tmp_path / "run", "gradient norm")] == list(range(1, 15))
    assert [m.step for m in measured(tmp_path / "run", "branch share")] == [6, 11, 14]


def test_norms_by_layer_are_those_of_the_gradient(tmp_path: Path):
    run, _ = build(described := experiment(tmp_path), described.data.load())
    layers = layers_of(run.model)
    next(train(run))
    for weight, norm in zip(layers.values(), layer_norms(list(layers.values())), strict=True):
        assert weight.grad is not None
        assert float(norm) == pytest.approx(float((weight.grad.double() ** 2).sum() ** 0.5))


def test_the_share_of_a_scaled_identity_branch_has_a_closed_form():
    branch = nn.Linear(3, 3, bias=False)
    block = Residual(branch, Additive(scale=0.5))
    with torch.no_grad():
        branch.weight.copy_(2 * torch.eye(3))  # α·F(x) = x, of the size of what is carried
    assert branch_shares(nn.Sequential(nn.Identity(), block), torch.randn(8, 3)) == {"1": 0.5}


@pytest.mark.parametrize("connection", CONNECTIONS, ids=repr)
def test_the_share_is_that_of_the_lesion(connection: ConnectionDescription):
    net = randomised(build_network(dataclasses.replace(TINY, connection=connection), SMALL)).eval()
    inputs = torch.randn(6, 3, 8, 8, dtype=torch.float64)
    shares = branch_shares(net, inputs)
    assert isinstance(net, Network)
    net.requires_grad_(False)
    stream = net.trunk.description.expand(net.stem(inputs))
    for share, block in zip(shares.values(), net.trunk.blocks, strict=True):
        assert isinstance(block, Block)
        whole = block.connection(stream, block.branch)
        lesion = block.without_branch()
        carried = lesion.connection(stream, lesion.branch)
        ours, theirs = float(((whole - carried) ** 2).sum()), float((carried**2).sum())
        assert share == pytest.approx(ours / (ours + theirs), rel=1e-9)
        stream = block(stream)


def test_looking_at_branches_leaves_modes_random_numbers_and_hooks():
    net = build_network(TINY, SMALL)
    assert isinstance(net, Network)
    net.stem.eval()
    modes, buffers = [m.training for m in net.modules()], [b.clone() for b in net.buffers()]
    state = torch.get_rng_state()
    branch_shares(net, torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0)))
    assert torch.equal(state, torch.get_rng_state())
    assert [m.training for m in net.modules()] == modes
    assert all(torch.equal(a, b) for a, b in zip(buffers, net.buffers(), strict=True))
    assert not any(m._forward_hooks for m in net.modules())


def test_confusion_and_mistakes_are_those_of_numpy():
    data = rings(60)
    witness = Witness(Classification(classes=5))
    model = nn.Sequential(nn.Flatten(), nn.Linear(192, 5))
    assert data.validation is not None
    record = evaluate(
        model, data.validation, data.preprocessing, witness, part="validation", batch_size=4
    )
    found = witness.evidence(record, data.validation)
    raw, truth = data.validation.gather(torch.arange(len(data.validation)))
    with torch.no_grad():
        shares = model(data.preprocessing(raw)).double().softmax(1).numpy()
    said, matrix = shares.argmax(1), np.zeros((5, 5), dtype=int)
    np.add.at(matrix, (truth.numpy(), said), 1)
    assert (
        sum(matrix[row, column] == count for row, column, count in found.confusion)
        == (matrix > 0).sum()
    )
    wrong = np.flatnonzero(said != truth.numpy())
    order = wrong[np.argsort(-shares[wrong, said[wrong]], kind="stable")]
    assert [m.index for m in found.mistakes] == order.tolist()
    assert [m.name for m in found.mistakes] == data.validation.called(torch.from_numpy(order))
    assert [(m.truth, m.said) for m in found.mistakes] == list(
        zip(truth.numpy()[order], said[order], strict=True)
    )
    both = [(m.probability, m.probability_of_truth) for m in found.mistakes]
    wanted = np.stack([shares[order, said[order]], shares[order, truth.numpy()[order]]], axis=1)
    np.testing.assert_allclose(both, wanted, atol=1e-6)
    assert record.metrics["accuracy"] == pytest.approx(matrix.trace() / matrix.sum())


def test_thousands_of_classes_need_no_matrix():
    classes, noise = 10_000, torch.Generator().manual_seed(0)
    truth, said = torch.randint(0, classes, (2, 300), generator=noise)
    truth[:9], said[:9] = 9_999, 9_998
    examples = InMemory(torch.zeros(300, 3, 8, 8, dtype=torch.uint8), truth)
    witness = Witness(Classification(classes=classes))
    for rows in torch.arange(300).split(70):
        output = nn.functional.one_hot(said[rows], classes).float()
        batch = Batch(inputs=output, targets=truth[rows], index=rows)
        sums = witness.tally(output, batch)
        assert max(value.numel() for value in sums.values()) <= classes
    metrics = {"loss": 0.0, "accuracy": 0.0}
    record = EvaluationRecord(step=1, part="test", examples=300, metrics=metrics, seconds=0.0)
    found = witness.evidence(record, examples).confusion
    pairs = Counter(zip(truth.tolist(), said.tolist(), strict=True))
    assert found == [[*pair, count] for pair, count in sorted(pairs.items())]
    assert found[-1] == [9_999, 9_998, 9]


def test_what_a_device_computed_is_witnessed_there():
    data, there = rings(60), torch.device("meta")  # has shapes and devices, and no numbers
    model = nn.Sequential(nn.Flatten(), nn.Linear(192, 5)).to(there)
    witness = Witness(Classification(classes=5))
    for batch in in_order(data.train, data.preprocessing, size=7, device=there):
        sums = witness.tally(model(batch.inputs), batch)
        assert {value.device for value in (*sums.values(), *witness._mistakes)} == {there}


def test_the_deviation_of_a_regression_is_that_of_the_squared_errors():
    witness, task = Witness(Regression()), Regression()
    targets, outputs = torch.randn(9, 2), torch.randn(9, 2)
    batch = Batch(inputs=targets, targets=targets, index=torch.arange(9))
    tally = witness.tally(outputs, batch)
    errors = ((targets.double() - outputs.double()) ** 2).sum(1)
    metrics = witness.metrics(tally)
    record = EvaluationRecord(step=1, part="test", examples=9, metrics=metrics, seconds=0.0)
    found = witness.evidence(record, InMemory(targets, targets))
    assert found.loss_deviation == pytest.approx(float(errors.std(correction=0)), rel=1e-9)
    assert task.right(outputs, batch) is None


def test_the_accuracy_of_a_step_is_counted_before_the_update(tmp_path: Path):
    described = experiment(tmp_path, steps=1, precision="float32")
    run, _ = build(described, described.data.load())
    batch = run.batches.at(0, progress=0.0)
    with torch.no_grad():
        right = (run.model.train()(batch.inputs).argmax(1) == batch.targets).sum() / len(batch)
    for _ in begin(described, described.data.load(), tmp_path / "run").events():
        pass
    events = list(read_journal(tmp_path / "run/metrics.jsonl"))
    steps = [e for e in events if isinstance(e, StepRecord)]
    assert steps[0].accuracy == pytest.approx(float(right))
    parts = steps[0].data_seconds + steps[0].gradient_seconds + steps[0].optimiser_seconds
    assert 0 < parts <= steps[0].seconds + 1e-5


def test_the_evidence_says_how_a_run_ended(tmp_path: Path):
    for name, rate in (("well", 0.01), ("badly", 1e30)):
        described = experiment(tmp_path)
        strategy = dataclasses.replace(described.strategy, peak_lr=rate)
        described = dataclasses.replace(described, strategy=strategy)
        session = begin(described, described.data.load(), tmp_path / name)
        events = session.events()
        if name == "badly":
            with pytest.raises(Diverged):
                list(events)
        else:
            list(events)
    states = [
        evidence_from_text((tmp_path / name / "evidence.json").read_text()).state
        for name in ("well", "badly")
    ]
    assert states[0] == "finished"
    assert "training diverged" in states[1]


class Harmed(torch.utils.data.Dataset):
    """Pictures that are not finite any more, or cannot be read, once somebody says so."""

    harm = ""

    def __len__(self) -> int:
        return 240

    def __getitem__(self, row: int) -> tuple[torch.Tensor, int]:
        if self.harm == "unreadable":
            raise ValueError("an example is broken")
        value = math.nan if self.harm == "not finite" else row % 2 + row / 240
        return torch.full((3, 8, 8), value), row % 2


def harmed(folder: Path, harm: str, after: int, **changes) -> BaseException:
    """Give what ends a run in its first epoch whose data are harmed after so many steps."""
    data = Harmed()
    described, dataset = compose(Own(dataset=data), TINY, steps=40, batch_size=4, **changes)
    events = begin(described, dataset, folder).events()

    def follow() -> None:
        for event in events:
            if isinstance(event, Step) and event.step == after:
                data.harm = harm

    with pytest.raises(ValueError, match=r"broken|diverged") as caught:
        follow()
    return caught.value


def test_a_run_that_breaks_keeps_all_its_steps_and_a_resume_takes_each_once(tmp_path: Path):
    error = harmed(tmp_path / "run", "unreadable", after=15)
    assert str(error).startswith("an example is broken")
    run = read_run(tmp_path / "run")
    assert [step.step for step in run.steps] == list(range(1, 16))
    assert headline(run) == "stopped at step 15 of 40"
    assert "for 15 steps (0." in " ".join(verdict(run))
    session, _ = go_on(tmp_path / "run", data=Own(dataset=Harmed()))
    list(session.events())
    assert [s.step for s in read_run(tmp_path / "run").steps] == list(range(1, 41))


def test_a_run_that_its_guard_gives_up_names_one_step_everywhere(tmp_path: Path):
    strategy = dataclasses.replace(nesterov(), guard=Guard(patience=2, returns=1, age=0))
    error = harmed(tmp_path / "run", "not finite", after=30, strategy=strategy)
    assert isinstance(error, Diverged)
    run = read_run(tmp_path / "run")
    # Steps 31 and 32 are skipped, and the run returns; 33 and 34 are skipped, and none is left.
    assert error.step == 34
    assert headline(run) == "diverged at step 34 of 40"
    assert " at step 34 after 1 returns to an earlier state: " in " ".join(verdict(run))
    assert [step.step for step in run.steps] == list(range(1, 34))


def test_a_caller_who_leaves_at_a_step_leaves_it_in_the_journal(tmp_path: Path):
    for event in begin(made := experiment(tmp_path), made.data.load(), tmp_path / "run").events():
        if isinstance(event, Step) and event.step == 3:
            break
    run = read_run(tmp_path / "run")
    assert [step.step for step in run.steps] == [1, 2, 3]
    assert headline(run) == "stopped at step 3 of 14"


def test_a_session_whose_partner_ended_asks_the_device_for_nothing_more(tmp_path: Path):
    made = experiment(tmp_path)
    for device, written in (("cpu", 1), ("cuda", 0)):
        left = (session := begin(made, made.data.load(), tmp_path / device)).events()
        next(event for event in left if isinstance(event, Step))
        session.run.batches.device = torch.device(device)
        with pytest.raises(RuntimeError, match="NCCL"):
            left.throw(RuntimeError("NCCL error: remote process exited"))
        assert len(read_run(tmp_path / device).steps) == written


def test_a_session_that_another_took_over_writes_nothing_at_its_end(tmp_path: Path):
    described = experiment(tmp_path)
    left = begin(described, described.data.load(), tmp_path / "run").events()
    assert isinstance(left, Generator)
    next(event for event in left if isinstance(event, Step) and event.step == 3)
    list(go_on(tmp_path / "run")[0].events())
    left.close()
    run = read_run(tmp_path / "run")
    assert [step.step for step in run.steps] == list(range(1, 15))
    assert run.state == "finished"


def test_a_run_that_pauses_says_where_and_is_finished_when_it_went_on(tmp_path: Path):
    described = experiment(tmp_path)
    session = begin(described, described.data.load(), tmp_path / "run")
    session.pause.share = 0.5
    list(session.events())
    evidence = tmp_path / "run/evidence.json"
    assert evidence_from_text(evidence.read_text()).state == "paused at step 7 of 14"
    list(go_on(tmp_path / "run")[0].events())
    assert evidence_from_text(evidence.read_text()).state == "finished"


def test_a_run_that_patience_ends_is_finished(tmp_path: Path):
    described = experiment(tmp_path, patience=1, steps=400)
    strategy = dataclasses.replace(described.strategy, peak_lr=1e-12)
    described = dataclasses.replace(described, strategy=strategy)
    session = begin(described, described.data.load(), tmp_path / "run")
    list(session.events())
    assert session.run.step < 400
    evidence = evidence_from_text((tmp_path / "run/evidence.json").read_text())
    assert evidence.state == "finished"


class Drawing(torch.utils.data.Dataset):
    """Pictures of noise that is drawn from every generator there is, slowly if told to."""

    def __init__(self, seconds: float = 0.0):
        self.seconds = seconds

    def __len__(self) -> int:
        return 60

    def __getitem__(self, row: int) -> tuple[torch.Tensor, int]:
        time.sleep(self.seconds)
        return torch.rand(3, 8, 8) + float(np.random.rand()) + random.random() + row % 2, row % 2


def drawn() -> list[float]:
    return [float(torch.rand(())), float(np.random.rand()), random.random()]


def test_a_session_leaves_the_callers_random_numbers_to_the_caller(tmp_path: Path):
    described, dataset = compose(Own(dataset=Drawing()), TINY, steps=5, batch_size=16)

    def seed() -> None:
        torch.manual_seed(0)
        np.random.seed(0)
        random.seed(0)

    seed()
    wanted = drawn()
    seed()
    session = begin(described, dataset, tmp_path / "run")
    list(session.events())
    assert drawn() == wanted


def test_the_parts_of_a_runs_time_add_up_to_its_own(tmp_path: Path):
    strategy = dataclasses.replace(nesterov(), averaging=EMA())
    slow = Own(dataset=Drawing(seconds=0.002))
    described, dataset = compose(slow, TINY, strategy, steps=6, batch_size=16)
    began = time.perf_counter()
    session = begin(described, dataset, tmp_path / "run")
    list(session.events())
    whole = time.perf_counter() - began
    sums = spent(read_run(tmp_path / "run"))
    assert sum(sums.values()) == pytest.approx(session.elapsed, abs=2e-3)
    assert sum(sums.values()) <= whole
    assert dataset.validation is not None
    assert dataset.test is not None
    # Each evaluation of averaged weights reads the training part for their statistics first.
    validations = len(read_run(tmp_path / "run").validations)
    read = validations * (len(dataset.validation) + len(dataset.train)) + len(dataset.test)
    assert sums[EVALUATION] > 0.002 * read
    assert sums[OTHER] > 0


def test_of_a_run_that_goes_on_it_is_not_known_what_it_took_in_all(tmp_path: Path):
    described = experiment(tmp_path)
    session = begin(described, described.data.load(), tmp_path / "run")
    for event in session.events():
        if isinstance(event, Step) and event.step == 9:
            assert OTHER not in spent(read_run(tmp_path / "run"))
    assert OTHER in spent(read_run(tmp_path / "run"))
