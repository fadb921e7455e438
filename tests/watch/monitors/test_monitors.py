"""Monitors change nothing, see what the formulas say, and tell a verdict once."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from skipwise import analysis, strategies
from skipwise.connections import StochasticDepth
from skipwise.experiment import Experiment, build, compose
from skipwise.networks import resnet20
from skipwise.records import MeasureRecord, NoteRecord, StepRecord, VerdictRecord, read_journal
from skipwise.runs import begin, go_on
from skipwise.training import Run, Step, train
from skipwise.watch import Monitors
from skipwise.watch.monitors.normalisation import NORMALISATION
from tests.diagnosis.rules.training.test_batch_statistics import found as off
from tests.references import rings_file

TINY = dataclasses.replace(resnet20(), width=4, blocks=(1, 1))
NOISY = dataclasses.replace(TINY, dropout=0.3, connection=StochasticDepth(survival=0.6))
ALL = "gradients:every=3,curvature:every=4,units:every=5,updates:every=3,normalisation:every=4"
TIMES = ("seconds", "data_seconds", "gradient_seconds", "optimiser_seconds")


def experiment(tmp_path: Path, **changes: Any) -> Experiment:
    path = rings_file(tmp_path / "rings.npz")
    settings = {"steps": 14, "batch_size": 32, "compile": "off", **changes}
    network, strategy = settings.pop("network", TINY), settings.pop("strategy", None)
    return compose(str(path), network, strategy, **settings)[0]


def made(tmp_path: Path, words: str, **changes: Any) -> tuple[Run, Monitors]:
    described = experiment(tmp_path, **changes)
    run, task = build(described, described.data.load())
    return run, Monitors(words, run, task)


def trained(
    described: Experiment, folder: Path, words: str | None, cut: int = 0, share: float = 0.015
) -> Run:
    """Train to the end; saved after ``cut`` steps, broken off two later, and gone on with."""
    session = begin(described, described.data.load(), folder, watch=words)
    for pace in session.monitors.paces.values():
        pace.share = share
    for event in session.events():
        if isinstance(event, Step) and event.step == cut:
            session.save()
        if isinstance(event, Step) and cut and event.step == cut + 2:
            session, _ = go_on(folder)
            for _ in session.events():
                pass
            break
    return session.run


def events_of(folder: Path, kind: type) -> list[Any]:
    return [e for e in read_journal(folder / "metrics.jsonl") if isinstance(e, kind)]


def measured(folder: Path, name: str) -> list[MeasureRecord]:
    return [e for e in events_of(folder, MeasureRecord) if e.name == name]


def assert_same(a: Any, b: Any) -> None:
    if isinstance(a, dict):
        assert a.keys() == b.keys()
        for name in a:
            assert_same(a[name], b[name])
    elif isinstance(a, list | tuple):
        for mine, other in zip(a, b, strict=True):
            assert_same(mine, other)
    else:
        assert torch.equal(a, b) if isinstance(a, Tensor) else a == b


def bare(step: StepRecord) -> dict[str, Any]:
    return {name: value for name, value in vars(step).items() if name not in TIMES}


@pytest.mark.parametrize(
    ("network", "strategy"),
    [
        (TINY, strategies.nesterov()),
        (NOISY, strategies.adamw()),
        (NOISY, vars(strategies)["sam"]()),
        (TINY, dataclasses.replace(strategies.momentum(), averaging=strategies.EMA())),
        (TINY, vars(strategies)["muon"]()),
    ],
    ids=["nesterov", "noisy adamw", "noisy sam", "momentum averaged", "muon"],
)
def test_a_watched_run_that_was_resumed_is_an_unwatched_one(network, strategy, tmp_path: Path):
    described = experiment(tmp_path, network=network, strategy=strategy, steps=12)
    alone = trained(described, tmp_path / "alone", None)
    watched = trained(described, tmp_path / "watched", ALL, cut=6)
    assert_same(alone.state(), watched.state())
    steps = [list(map(bare, events_of(tmp_path / n, StepRecord))) for n in ("alone", "watched")]
    assert steps[0] == steps[1]
    assert [m.step for m in measured(tmp_path / "watched", "watch gradients")] == [0, 3, 6, 9, 12]
    assert [m.step for m in measured(tmp_path / "watched", "watch curvature")] == [0, 4, 8, 12]
    assert [m.step for m in measured(tmp_path / "watched", "watch updates")] == [3, 6, 9, 12]


@pytest.mark.parametrize(("cost", "looks"), [(0.6, 28), (6.0, 16)])
def test_the_others_pay_for_one_that_was_told_how_often(tmp_path: Path, cost: float, looks: int):
    _, monitors = made(tmp_path, "gradients,curvature:every=200", steps=400)
    costs = {"gradients": 0.05, "curvature": cost}
    for step in range(401):
        monitors.spent.add(0.3)
        for name, pace in monitors.paces.items():
            if monitors._is_due(pace, step):
                pace.measured(step, costs[name])
    assert monitors.paces["curvature"].count == 3
    # All have 0.027 · 400 · 0.3 s = 3.24 s; of a price above that the others keep a quarter.
    assert monitors.paces["gradients"].count == pytest.approx(looks, abs=1)


def test_a_run_left_alone_with_its_monitors_is_an_unwatched_one(tmp_path: Path):
    described = experiment(tmp_path)
    alone = trained(described, tmp_path / "alone", None)
    watched = trained(described, tmp_path / "watched", "gradients,updates", cut=5, share=9.0)
    assert_same(alone.state(), watched.state())
    found = [m.step for m in measured(tmp_path / "watched", "watch gradients")]
    assert found
    assert found == sorted(set(found))


def test_gradients_flags_hooks_and_random_numbers_stay(tmp_path: Path):
    words = "gradients:every=1,curvature:every=1:top,units:every=1,updates:every=1"
    run, monitors = made(tmp_path, words, network=NOISY)
    list(monitors.begin())
    for step in train(run):
        kept = [p.grad for p in run.model.parameters()]
        values = [None if g is None else g.clone() for g in kept]
        buffers = [b.clone() for b in run.model.buffers()]
        modes, state = [m.training for m in run.model.modules()], torch.get_rng_state()
        assert any(isinstance(seen, MeasureRecord) for seen in monitors.after(step))
        assert all(p.grad is g for p, g in zip(run.model.parameters(), kept, strict=True))
        assert_same([g for g in values if g is not None], [g for g in kept if g is not None])
        assert_same(buffers, list(run.model.buffers()))
        assert [m.training for m in run.model.modules()] == modes
        assert torch.equal(torch.get_rng_state(), state)
        assert not any(m._forward_hooks or m._forward_pre_hooks for m in run.model.modules())
        if step.step == 2:
            break


def test_a_compiled_run_is_measured_by_its_eager_module_and_stays_as_it_is(tmp_path: Path):
    states = []
    for words in ("", "gradients:every=2,curvature:every=2"):
        run, monitors = made(tmp_path, words, steps=4)
        run.compiled = torch.compile(run.model, backend="eager")
        seen = list(monitors.begin())
        for step in train(run):
            seen += monitors.after(step)
        states.append(run.state())
    assert_same(*states)
    assert sum(s.name == "watch gradients" for s in seen if isinstance(s, MeasureRecord)) == 3


def test_what_is_written_is_what_the_analysis_gives(tmp_path: Path):
    run, monitors = made(tmp_path, "gradients:every=2:examples=16")
    seen = {s.name: s for s in monitors.begin() if isinstance(s, MeasureRecord)}
    batch = run.batches.at(0).cut(slice(0, 16))
    run.model.train()
    found = analysis.signal(run.model, (batch.inputs, batch.targets))
    written = seen["watch gradients: gradient norm"].values
    assert list(written) == list(found.rows)
    assert list(written.values()) == pytest.approx(found["gradient norm"], rel=1e-4)
    assert seen["watch gradients"].values["examples"] == 16


def test_an_update_is_the_difference_of_the_weights_of_two_steps(tmp_path: Path):
    run, monitors = made(tmp_path, "updates:every=2", strategy=strategies.adam())
    assert list(monitors.begin()) == []
    before: dict[str, Tensor] = {}
    for step in train(run):
        seen = {s.name: s for s in monitors.after(step) if isinstance(s, MeasureRecord)}
        now = {n: p.detach().double().clone() for n, p in run.model.named_parameters()}
        if step.step in (2, 4):
            written = seen["watch updates: update / weight"].values
            for name, value in now.items():
                if before[name].norm():
                    truth = float((value - before[name]).norm() / before[name].norm())
                    assert written[name] == pytest.approx(truth, rel=1e-4)
        else:
            assert seen == {}
        before = now
        if step.step == 4:
            break


def test_a_step_that_was_skipped_is_no_update(tmp_path: Path):
    run, monitors = made(tmp_path, "updates", steps=10_000)
    list(monitors.begin())
    steps = train(run)
    first = next(steps)
    assert list(monitors.after(dataclasses.replace(first, skipped=True))) == []
    names = [s.name for s in monitors.after(next(steps)) if isinstance(s, MeasureRecord)]
    assert "watch updates" in names


@pytest.mark.parametrize(
    "strategy",
    [
        strategies.nesterov(),
        strategies.sgd(),
        dataclasses.replace(strategies.sgd(), name="layers", layer_decay=0.5),  # the head has 1
    ],
    ids=lambda s: s.name,
)
def test_sharpness_stands_against_the_limit_of_the_rule(strategy, tmp_path: Path):
    run, monitors = made(tmp_path, "curvature:every=1", strategy=strategy)
    seen = {s.name: s for s in monitors.begin() if isinstance(s, MeasureRecord)}
    rule, rate = strategy.optimiser, run.rate
    limit = (2 + 2 * rule.momentum) / (rate * (1 + 2 * rule.momentum * rule.nesterov))
    values = seen["watch curvature: batch sharpness"].values
    assert values["limit of stability"] == pytest.approx(limit, rel=1e-4)
    assert values["seen / limit"] == pytest.approx(values["batch sharpness"] / limit, rel=1e-3)
    assert values["batch sharpness"] == pytest.approx(along_the_gradient(run), rel=1e-2)


def along_the_gradient(run: Run) -> float:
    """Give gᵀHg/gᵀg by a central difference of gradients in double precision."""
    batch = run.batches.at(0)
    model = build_double(run.model)

    def gradient() -> list[Tensor]:
        loss = nn.functional.cross_entropy(model(batch.inputs.double()), batch.targets)
        return list(torch.autograd.grad(loss, list(model.parameters())))

    first = gradient()
    length = sum(float(g.square().sum()) for g in first) ** 0.5
    sides = []
    for sign in (1, -1):
        with torch.no_grad():
            for p, g in zip(model.parameters(), first, strict=True):
                p.add_(g, alpha=sign * 1e-5 / length)
        sides.append(gradient())
        with torch.no_grad():
            for p, g in zip(model.parameters(), first, strict=True):
                p.sub_(g, alpha=sign * 1e-5 / length)
    return sum(
        float(((a - b) * g).sum()) / (2e-5 * length) for a, b, g in zip(*sides, first, strict=True)
    )


def build_double(model: nn.Module) -> nn.Module:
    import copy

    return copy.deepcopy(model).double().train()


def test_a_fault_is_told_at_its_step_and_once(tmp_path: Path):
    run, monitors = made(tmp_path, "units:every=1")
    list(monitors.begin())
    notes: list[tuple[int, str]] = []
    for step in train(run):
        if step.step == 2:
            kill(run.model)
        notes += [(s.step, s.text) for s in monitors.after(step) if isinstance(s, NoteRecord)]
        if step.step == 5:
            break
    faults = [(step, text) for step, text in notes if text.startswith("FAIL V5, dead units: ")]
    assert [step for step, _ in faults] == [2]


def kill(model: nn.Module) -> None:
    """Shift every norm so far down that nothing passes the activation after it."""
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.bias.fill_(-100.0)


def test_numbers_that_are_not_finite_are_a_verdict_and_do_not_end_the_run(tmp_path: Path):
    run, monitors = made(tmp_path, "gradients:every=1")
    list(monitors.begin())
    steps = train(run)
    step = next(steps)
    with torch.no_grad():
        next(run.model.parameters()).fill_(float("nan"))
    seen = list(monitors.after(step))
    assert any(isinstance(s, VerdictRecord) and (s.rule, s.level) == ("V0", "FAIL") for s in seen)
    assert sum("could not be measured" in s.text for s in seen if isinstance(s, NoteRecord)) == 1


def test_a_cost_above_the_share_is_said_once_in_all_sessions(tmp_path: Path):
    run, monitors = made(tmp_path, "curvature:every=1")
    seen = list(monitors.begin())
    for step in train(run):
        seen += monitors.after(step)
        if step.step == 4:
            before, (_, monitors) = monitors.state(), made(tmp_path, "curvature:every=1")
            monitors.restore(before)
            assert monitors.state() == before
        if step.step == 6:
            break
    told = [s.text for s in seen if isinstance(s, NoteRecord) and "of the step time" in s.text]
    assert len(told) == 1
    assert told[0].startswith("watch: curvature every 1 steps has taken ")
    assert "of the step time up to step 2;" in told[0]


def notes_of(run: Run, monitors: Monitors) -> list[str]:
    seen = list(monitors.begin())
    for step in train(run):
        seen += monitors.after(step)
    return [each.text for each in seen if isinstance(each, NoteRecord)]


def test_the_cost_of_few_measurements_is_said_at_the_end(tmp_path: Path):
    run, monitors = made(tmp_path, "curvature:every=1000")
    (told,) = [text for text in notes_of(run, monitors) if "of the step time" in text]
    assert monitors.paces["curvature"].count == 1
    assert f"of the step time up to step {run.steps};" in told


def test_what_was_asked_for_and_never_measured_is_said_at_the_end(tmp_path: Path):
    run, monitors = made(tmp_path, "gradients,curvature")
    told = [text for text in notes_of(run, monitors) if "was not measured" in text]
    never = [name for name, pace in monitors.paces.items() if not pace.count]
    assert [text.partition(" was")[0] for text in told] == [f"watch: {name}" for name in never]
    assert "curvature:every=" in told[-1]


def test_what_was_to_be_measured_after_the_end_is_said(tmp_path: Path):
    run, monitors = made(tmp_path, "updates:every=1000")
    (told,) = notes_of(run, monitors)
    assert f"updates was not measured: every 1000 steps is beyond the run's {run.steps};" in told


def flat(inputs: tuple[int, ...], classes: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(torch.Size(inputs).numel(), classes))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("gradients", "this network has no blocks that repeat"),
        ("normalisation", "the running statistics of BatchNorm, and this network has none"),
        ("gradint", "did you mean 'gradients'?"),
    ],
)
def test_what_cannot_be_watched_is_refused_before_there_is_a_folder(
    words: str, told: str, tmp_path: Path
):
    described = experiment(tmp_path, network=flat)
    with pytest.raises(ValueError, match=told.replace("?", r"\?")):
        begin(described, described.data.load(), None, watch=words)
    assert not (tmp_path / "runs").exists()


def test_shares_of_parameters_are_refused(tmp_path: Path):
    described = experiment(tmp_path)
    run, task = build(described, described.data.load())
    run.is_sharded = True
    with pytest.raises(ValueError, match="--shard leaves each process a share of them"):
        Monitors("gradients", run, task)


@pytest.mark.parametrize(("share", "level"), [(1.0, "INFO"), (0.05, "WARN")])
def test_a_loss_in_evaluation_mode_is_judged_by_the_rate_as_a_diagnosis_does(
    share: float, level: str, tmp_path: Path
):
    run, monitors = made(tmp_path, "normalisation")
    recent = monitors.recent
    recent.peak_rate = run.strategy.peak_lr
    recent.last_rate = share * recent.peak_rate
    (verdict,) = monitors.monitors["normalisation"].verdicts({NORMALISATION: off(gap=9.0)}, recent)
    assert (verdict.rule, verdict.level) == ("V11", level)
