"""Rules that ask for the gradient twice, and weights that are evaluated but not trained."""

import copy
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from skipwise.connections import StochasticDepth
from skipwise.data import Arrays, Batch, Examples, Mixup, PadCrop, Preprocessing, Shares
from skipwise.experiment import build, compose
from skipwise.networks import fixup20, resnet20
from skipwise.prediction import load
from skipwise.records import EvaluationRecord, MeasureRecord, read_journal
from skipwise.runs import begin
from skipwise.strategies import (
    EMA,
    LAWA,
    LBFGS,
    SAM,
    SGD,
    SWA,
    AdamW,
    Constant,
    Freezing,
    Lookahead,
    Muon,
    NAdam,
    Optimiser,
    Restarts,
    Strategy,
    ZClip,
    adam,
    lbfgs,
    lookahead,
    momentum,
    muon,
    prodigy,
    schedulefree_sgd,
    sgd_cosine,
)
from skipwise.training import Run, Step, train, with_own_statistics
from skipwise.training.gradient import leaving_no_trace, trial_gradient
from skipwise.watch import Hits
from tests.references import close, rings_file

SMALL = replace(resnet20(), width=4, blocks=(1, 1))
PLAIN = Strategy(name="plain", optimiser=SGD(), peak_lr=0.1, schedule=Constant())
CLIMBING = replace(PLAIN, optimiser=SAM(base=SGD(), radius=0.5))


def run_of(folder: Path, strategy: Strategy, network=SMALL, **settings) -> Run:
    given = {"steps": 4, "batch_size": 32, "augmentation": (), **settings}
    run, task = build(*compose(str(rings_file(folder / "rings.npz")), network, strategy, **given))
    run.loss = Hits(run.loss, task)
    return run


def test_only_the_first_gradient_moves_statistics_counts_answers_and_is_reported(tmp_path: Path):
    runs = [run_of(tmp_path, strategy) for strategy in (PLAIN, CLIMBING)]
    once, twice = (next(train(run)) for run in runs)
    assert torch.equal(once.loss, twice.loss)
    assert torch.equal(once.gradient_norm, twice.gradient_norm)
    hits = [run.loss for run in runs if isinstance(run.loss, Hits)]
    assert [counted._count for counted in hits] == [32, 32]
    right = [counted.take() for counted in hits]
    assert right[0] is not None
    assert right[1] is not None
    assert torch.equal(right[0], right[1])
    for name, buffer in runs[0].model.named_buffers():
        assert torch.equal(buffer, runs[1].model.get_buffer(name)), name
    assert not torch.equal(*(run.model.get_parameter("stem.conv.weight") for run in runs))


def test_the_seconds_of_every_gradient_of_a_step_count(tmp_path: Path):
    run = run_of(tmp_path, CLIMBING)
    inner = run.loss

    def slow(output: torch.Tensor, batch: Batch):
        time.sleep(0.1)
        return inner(output, batch)

    run.loss = slow
    step = next(train(run))
    assert step.gradients == 2
    assert 0.2 <= step.gradient_seconds <= step.seconds


def test_a_trial_leaves_no_gradient_and_no_statistics(tmp_path: Path):
    run = run_of(tmp_path, PLAIN)
    before = {name: buffer.clone() for name, buffer in run.model.named_buffers()}
    with leaving_no_trace(run):
        trial_gradient(run, run.batches.at(0))
        moved = [not torch.equal(b, before[name]) for name, b in run.model.named_buffers()]
        assert all(p.grad is not None for p in run.model.get_submodule("trunk").parameters())
    assert any(moved)
    assert all(torch.equal(b, before[name]) for name, b in run.model.named_buffers())
    assert all(p.grad is None for p in run.model.parameters())


def test_sam_on_parts_of_a_batch_is_sam_on_the_batch(tmp_path: Path):
    network = replace(fixup20(), width=4, blocks=(1, 1))
    exact = {"precision": "float32"}  # bfloat16 rounds parts of a batch as it rounds no whole
    runs = [run_of(tmp_path, CLIMBING, network, parts=parts, **exact) for parts in (1, 4)]
    for run in runs:
        assert len(list(train(run))) == 4
    whole, cut = (dict(run.model.named_parameters()) for run in runs)
    for name, parameter in whole.items():
        close(cut[name].detach(), parameter.detach())


@pytest.mark.parametrize("strategy", [schedulefree_sgd(), lookahead()], ids=lambda s: s.name)
def test_other_weights_are_evaluated_with_statistics_of_their_own(strategy, tmp_path: Path):
    run = run_of(tmp_path, strategy, steps=7)
    for _ in train(run):
        pass
    before = {name: value.clone() for name, value in run.model.state_dict().items()}
    others = strategy.optimiser.evaluated(run.optimiser)
    found = run.evaluated()
    for name, parameter in run.model.named_parameters():
        assert torch.equal(found.get_parameter(name), others[parameter]), name
        assert not torch.equal(found.get_parameter(name), parameter) or parameter.dim() < 2, name
    assert all(torch.equal(value, before[name]) for name, value in run.model.state_dict().items())
    kept = {name: value.clone() for name, value in run.chosen_weights().items()}
    with run.with_weights(kept) as model:
        with_own_statistics(model, run.batches, autocast=run.autocast)
        for name, buffer in model.named_buffers():
            if name.endswith(("running_mean", "running_var")):
                assert torch.equal(kept[name], buffer), name


def by_hand(model: nn.Module, preprocessing: Preprocessing, parts: list[Examples]) -> list[float]:
    """Give losses in float64, with BatchNorm's statistics of what it reads of the first part."""
    model, seen = copy.deepcopy(model).double().train(), {}
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]

    def note(norm: nn.Module, inputs: tuple[torch.Tensor]) -> None:
        seen[norm] = inputs[0].mean((0, 2, 3)), inputs[0].var((0, 2, 3), unbiased=True)

    hooks = [norm.register_forward_pre_hook(note) for norm in norms]
    every = [part.gather(torch.arange(len(part))) for part in parts]
    pairs = [(preprocessing(x).double(), y) for x, y in every]
    with torch.no_grad():
        model(pairs[0][0])
        for norm, (mean, variance) in seen.items():
            norm.get_buffer("running_mean").copy_(mean)
            norm.get_buffer("running_var").copy_(variance)
        for hook in hooks:
            hook.remove()
        model.eval()
        return [cross_entropy(model(x), y).item() for x, y in pairs]


def test_a_line_search_is_evaluated_with_the_statistics_of_where_it_ends(tmp_path: Path):
    settings = {"steps": 4, "batch_size": 1000, "augmentation": (), "precision": "float32"}
    made, dataset = compose(str(rings_file(tmp_path / "rings.npz")), SMALL, lbfgs(), **settings)
    session, models, found = begin(made, dataset, tmp_path / "run"), {}, {}
    for event in session.events():
        if isinstance(event, Step):
            models[event.step] = copy.deepcopy(session.run.model)
        elif isinstance(event, EvaluationRecord):
            found[event.part, event.step] = event.metrics["loss"]
    assert dataset.validation is not None
    assert dataset.test is not None
    held = [dataset.train, dataset.validation, dataset.test]
    wanted = {s: by_hand(m, dataset.preprocessing, held) for s, m in models.items()}
    assert [part for part, _ in found] == ["validation"] * 4 + ["test"]
    for (part, step), loss in found.items():
        truth = wanted[step][1 + (part == "test")]
        assert loss == pytest.approx(truth, rel=1e-3), (part, step)  # of weights of about ten
    x, y = dataset.test.gather(torch.arange(len(dataset.test)))
    kept = cross_entropy(load(tmp_path / "run").outputs(x), y).item()
    best = min(models, key=lambda step: found["validation", step])
    assert kept == pytest.approx(found["test", best], abs=1e-6)  # of float32 outputs of about ten


def test_without_validation_the_branches_of_a_line_search_are_those_of_its_steps(tmp_path: Path):
    data = Arrays(path=str(rings_file(tmp_path / "rings.npz")), shares=Shares(validation=0.0))
    settings = {"steps": 3, "batch_size": 1000, "augmentation": ()}
    session = begin(*compose(data, SMALL, lbfgs(), **settings), tmp_path / "run")
    for _ in session.events():
        pass
    journal = read_journal(tmp_path / "run/metrics.jsonl")
    records = [each for each in journal if isinstance(each, MeasureRecord)]
    seen = [each.values for each in records if each.name == "branch share"]
    assert len(seen) == 3
    assert all(one != another for one, another in pairwise(seen))


def test_averages_of_averages_are_refused():
    with pytest.raises(ValueError, match=r"Lookahead has .* leave strategy\.averaging out"):
        replace(lookahead(), averaging=EMA())


@pytest.mark.parametrize(
    ("rule", "size", "rate"), [("linear", 64, 0.05), ("sqrt", 32, 0.05), ("none", 64, 0.1)]
)
def test_rates_follow_the_batch_by_their_rule(rule: str, size: int, rate: float, tmp_path: Path):
    strategy = replace(sgd_cosine(), rate_rule=rule)
    run = run_of(tmp_path, strategy, batch_size=size)
    assert run.strategy.peak_lr == pytest.approx(rate, rel=1e-12)
    told = [note for note in run.notes if "the rate is" in note]
    how = {"linear": "in proportion", "sqrt": "by the root"}
    wanted = (
        f"the rate is 0.05: 0.1 for batches of 128, scaled {how.get(rule)} to batches of {size}"
    )
    assert told == ([] if rule == "none" else [wanted])
    assert strategy.for_batches(128) is strategy


def test_a_size_of_batches_that_no_rule_looks_at_is_said(tmp_path: Path):
    run = run_of(tmp_path, replace(PLAIN, rate_batch=256), batch_size=32)
    (told,) = (note for note in run.notes if "rate_batch" in note)
    assert told.startswith(
        "the size strategy.rate_batch=256 has no effect, since strategy.rate_rule is"
    )
    assert run.strategy.peak_lr == PLAIN.peak_lr
    run = run_of(tmp_path, replace(PLAIN, rate_batch=64, rate_rule="linear"), batch_size=64)
    assert not any("rate_batch" in note for note in run.notes)


def said_of(strategy: Strategy, size: int, folder: Path) -> list[str]:
    notes = run_of(folder, strategy, batch_size=size).notes
    return [note for note in notes if "the rate" in note]


@pytest.mark.parametrize(
    ("strategy", "rule", "small"),
    [
        (momentum(), "linear", "0.025"),
        (adam(), "sqrt", "0.0005"),
        (CLIMBING, "linear", "0.025"),
        (replace(muon(), optimiser=Muon(others=SGD())), "sqrt", "0.01"),
    ],
    ids=["momentum", "adam", "sam", "muon"],
)
def test_a_rate_that_does_not_follow_the_batches_is_said_once_they_are_far(
    strategy: Strategy, rule: str, small: str, tmp_path: Path
):
    kept = f"the rate stays {strategy.peak_lr:g} for batches of 32, as for 128;"
    cure = f" --set strategy.rate_rule={rule} makes it {small}"
    assert said_of(strategy, 32, tmp_path) == [kept + cure]
    (told,) = said_of(replace(strategy, rate_rule=rule), 32, tmp_path)
    assert told.startswith(f"the rate is {small}: ")  # what was promised


def test_what_may_be_left_as_it_is_says_nothing_of_the_rate(tmp_path: Path):
    assert said_of(momentum(), 65, tmp_path) == []
    assert said_of(prodigy(), 32, tmp_path) == []
    assert said_of(lbfgs(), 32, tmp_path) == []


def test_batches_that_lbfgs_cannot_use_and_steps_too_few_for_lookahead_are_said(tmp_path: Path):
    (told,) = run_of(tmp_path, lbfgs(), batch_size=32).notes
    examples = len(Arrays(path=str(tmp_path / "rings.npz")).load().train)
    assert told.endswith(
        f"batches of 32 are not; --batch-size {examples} is the whole training part"
    )
    assert run_of(tmp_path, lbfgs(), batch_size=examples).notes == ()
    late = replace(PLAIN, optimiser=SAM(base=Lookahead(steps=7)))
    (told,) = run_of(tmp_path, late, steps=6, batch_size=128).notes
    assert "move every 7 steps, and the run has 6: its score is that of the start" in told
    assert run_of(tmp_path, late, steps=7, batch_size=128).notes == ()


def test_what_makes_the_whole_part_another_function_at_each_step_of_lbfgs_is_said(tmp_path: Path):
    noisy = replace(SMALL, dropout=0.2, connection=StochasticDepth(survival=0.9))
    whole = {"batch_size": 1000, "augmentation": (PadCrop(), Mixup())}
    (told,) = run_of(tmp_path, lbfgs(), noisy, **whole).notes
    assert "with PadCrop and Mixup and dropout and stochastic depth it is another one" in told
    assert told.endswith("train with --augment none, dropout 0 and no stochastic depth")
    (told,) = run_of(tmp_path, lbfgs(), noisy, batch_size=1000, freeze="trunk").notes[1:]
    assert "with dropout it is another one" in told  # that of the head, beside the frozen trunk
    still = replace(SMALL, connection=StochasticDepth(survival=1.0))
    assert run_of(tmp_path, lbfgs(), still, batch_size=1000).notes == ()
    assert run_of(tmp_path, PLAIN, noisy, **{**whole, "batch_size": 128}).notes == ()


@pytest.mark.parametrize(
    ("change", "steps", "enough", "told"),
    [
        ({"averaging": SWA(every=1000)}, 6, 4003, "SWA averages the weights of a single step"),
        ({"averaging": LAWA(distance=1.0)}, 1, 0, "a single step of the run, the last; let"),
        ({"schedule": Restarts(cycles=9)}, 4, 767, "8 of the 9 cycles of Restarts have fewer"),
        ({"freezing": Freezing(first=0.05)}, 4, 11, "Freezing stops the stem before the first of"),
        ({"gradient": (ZClip(),)}, 25, 26, "ZClip clips nothing in its first 25 steps, and the"),
    ],
    ids=lambda value: "".join(value) if isinstance(value, dict) else "",
)
def test_parts_that_cannot_act_in_so_short_a_run_are_said(
    change: dict, steps: int, enough: int, told: str, tmp_path: Path
):
    strategy = replace(PLAIN, **change)
    (found,) = run_of(tmp_path, strategy, steps=steps, batch_size=128).notes
    assert told in found
    if enough:
        assert run_of(tmp_path, strategy, steps=enough, batch_size=128).notes == ()
        assert run_of(tmp_path, strategy, steps=enough - 1, batch_size=128).notes != ()


@pytest.mark.parametrize("strategy", [prodigy(), lbfgs()], ids=["prodigy", "lbfgs"])
def test_a_rate_that_finds_itself_is_stated_as_scaled_only_where_it_is(strategy: Strategy):
    assert strategy.stated_rate == "1, not scaled"
    scaled = replace(strategy, rate_rule="sqrt")
    assert scaled.stated_rate == "1 per 128, by the root"
    assert scaled.for_batches(32).peak_lr == pytest.approx(0.5, rel=1e-12)


def test_a_rule_for_the_rate_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="rate_rule must be one of linear, sqrt, none, got 'cube'"):
        replace(PLAIN, rate_rule="cube")
    with pytest.raises(ValueError, match="rate_batch must be positive, got 0"):
        replace(PLAIN, rate_batch=0)


@pytest.mark.parametrize(("rule", "asked"), [(SGD(), 1), (SAM(base=SGD()), 2)])
def test_a_step_says_how_many_gradients_it_took(rule: Optimiser, asked: int, tmp_path: Path):
    run = run_of(tmp_path, replace(PLAIN, optimiser=rule))
    assert [step.gradients for step in train(run)] == [asked] * 4


def test_the_gradients_of_a_line_search_are_those_that_torch_counts(tmp_path: Path):
    network = replace(fixup20(), width=4, blocks=(1, 1))
    run = run_of(tmp_path, replace(PLAIN, optimiser=LBFGS(iterations=4)), network)
    taken = sum(step.gradients for step in train(run))
    (counted,) = (s["func_evals"] for s in run.optimiser.state_dict()["state"].values())
    assert taken == counted > 8


@pytest.mark.parametrize("rule", [SGD(momentum=0.9), AdamW(), NAdam(), Muon()])
def test_a_state_that_was_saved_contiguous_goes_on_exactly(tmp_path: Path, rule: Optimiser):
    """As one of several processes that shared the parameters out; kernels may read raw memory."""
    strategy = replace(PLAIN, optimiser=rule, peak_lr=0.01)
    usual, again = (run_of(tmp_path, strategy, steps=6) for _ in range(2))
    steps = train(usual)
    for _ in range(3):
        next(steps)
    state = copy.deepcopy(usual.state())
    kept = state["optimiser"]["state"]
    state["optimiser"]["state"] = {
        number: {name: v.contiguous() if v.dim() else v for name, v in own.items()}
        for number, own in kept.items()
    }
    changed = [not v.is_contiguous() for own in kept.values() for v in own.values()]
    assert any(changed)
    again.restore(state)
    list(steps)
    list(train(again))
    for one, other in zip(usual.model.parameters(), again.model.parameters(), strict=True):
        assert torch.equal(one, other)
