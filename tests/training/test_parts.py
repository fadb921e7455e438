"""Parts of a strategy within a run: transforms, averages, freezing, dropout; exact on resume."""

import dataclasses
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from skipwise.branches import Perceptron, PreActivation
from skipwise.connections import StochasticDepth
from skipwise.experiment import Experiment, build, compose
from skipwise.networks import FullyConvolutional, Outermost, mlp, preresnet20, resnet20
from skipwise.records import NoteRecord, read_journal
from skipwise.shapes import Ends
from skipwise.strategies import (
    LAWA,
    SWA,
    AdaptiveClipping,
    AutoClip,
    Centralisation,
    Constant,
    Freezing,
    GradientNoise,
    GradientTransform,
    Strategy,
    ToConstant,
    ZClip,
    nesterov,
    sgd,
)
from skipwise.training import train
from tests.contracts.test_resume import assert_equal, cut_and_resumed, finished
from tests.references import SMALL, close, rings, rings_file
from tests.training.test_loop import a_run, gradient, weights

SMALL_NET = replace(resnet20(), width=4, blocks=(1, 1))
ALL: tuple[GradientTransform, ...] = (
    Centralisation(),
    AdaptiveClipping(ratio=0.1),
    ZClip(settling=4),
    GradientNoise(variance=1e-4),
)


def experiment(tmp_path: Path, strategy: Strategy, **changes) -> Experiment:
    path = str(rings_file(tmp_path / "rings.npz"))
    settings = {"steps": 14, "batch_size": 32, **changes}
    return compose(path, SMALL_NET, strategy, **settings)[0]


def states(checkpoint: dict) -> list[torch.Tensor]:
    chain = checkpoint["run"]["chain"]
    return [chain["clipped"], *(t for state in chain["states"] for t in state.values())]


@pytest.mark.parametrize(
    "strategy",
    [
        replace(nesterov(), gradient=ALL, clip_norm=1.0),
        replace(nesterov(), gradient=(AutoClip(),)),
        replace(nesterov(), averaging=SWA(last=0.6), schedule=ToConstant(until=0.4)),
        replace(nesterov(), averaging=LAWA(latest=3, distance=0.15)),
        replace(nesterov(), freezing=Freezing(first=0.2, last=0.6)),
        replace(nesterov(), rates={"norm": 0.1}, decay_factors={"norm": 1.0}),
    ],
    ids=["all transforms", "AutoClip", "SWA", "LAWA", "freezing", "roles"],
)
def test_every_part_resumes_exactly(strategy: Strategy, tmp_path: Path):
    made = experiment(tmp_path, strategy)
    whole, cut = finished(made, tmp_path / "a"), cut_and_resumed(made, tmp_path / "b", 6)
    assert_equal(whole, cut)
    pairs = zip(states(whole), states(cut), strict=True)
    assert all(torch.equal(a.nan_to_num(-1), b.nan_to_num(-1)) for a, b in pairs)
    for name, value in whole["run"].get("average", {}).items():
        assert torch.equal(value, cut["run"]["average"][name]), name
    remembered = [[w for kept in c["run"].get("latest", ()) for w in kept] for c in (whole, cut)]
    assert all(torch.equal(a, b) for a, b in zip(*remembered, strict=True))


def test_transforms_act_in_their_order_on_the_gradient_of_the_step():
    strategy = replace(
        sgd(), gradient=(Centralisation(), GradientNoise(variance=1.0)), clip_norm=0.1
    )
    noisy, plain = a_run(strategy), a_run(replace(strategy, gradient=(Centralisation(),)))
    before = weights(plain)
    next(train(noisy))
    next(train(plain))
    assert torch.equal(before, weights(a_run(strategy)))
    clipped = gradient(plain)
    assert clipped.norm().item() == pytest.approx(0.1, rel=1e-4)
    convolution = next(plain.model.parameters()).grad
    assert convolution is not None
    assert convolution.mean((1, 2, 3)).abs().max() < 1e-8
    noise = gradient(noisy) - clipped
    assert noise.std().item() == pytest.approx(1.0, abs=5 / (2 * noise.numel()) ** 0.5)


def test_noise_repeats_from_run_to_run_and_differs_from_step_to_step():
    strategy = replace(sgd(), gradient=(GradientNoise(variance=1.0),))
    heard = []
    for _ in range(2):
        run, found = a_run(strategy), []
        for _ in train(run):
            found.append(gradient(run))
        heard.append(found)
    assert all(torch.equal(a, b) for a, b in zip(*heard, strict=True))
    assert (heard[0][0] - heard[0][1]).std() > 1


def test_the_share_of_clipped_steps_is_noted_at_the_end_of_the_run(tmp_path: Path):
    finished(experiment(tmp_path, replace(nesterov(), clip_norm=1e-3)), tmp_path / "a")
    said = [e.text for e in read_journal(tmp_path / "a" / "metrics.jsonl")
            if isinstance(e, NoteRecord)]  # fmt: skip
    assert said[-1].startswith("the clip acted in 100 % of the steps: it is a hidden learning rate")
    finished(experiment(tmp_path, replace(nesterov(), clip_norm=1e3)), tmp_path / "b")
    said = [e.text for e in read_journal(tmp_path / "b" / "metrics.jsonl")
            if isinstance(e, NoteRecord)]  # fmt: skip
    assert said[-1] == "the clip acted in 0 % of the steps"


def test_swa_is_the_mean_of_the_weights_of_its_steps(tmp_path: Path):
    strategy = replace(nesterov(), averaging=SWA(last=0.5), schedule=Constant())
    run = build(*compose(str(rings_file(tmp_path / "r.npz")), SMALL_NET, strategy, steps=10))[0]
    seen = []
    for step in train(run):
        if step.step > 5:
            seen.append(weights(run).double())
    assert run.average is not None
    mean = torch.cat([p.flatten() for p in run.average.model.parameters()])
    close(mean, torch.stack(seen).mean(0).float())


def test_swa_of_a_run_that_grew_longer_is_the_mean_of_its_new_last_part(tmp_path: Path):
    strategy = replace(nesterov(), averaging=SWA(last=0.5), schedule=Constant())
    run = build(*compose(str(rings_file(tmp_path / "r.npz")), SMALL_NET, strategy, steps=4))[0]
    list(train(run))
    run.steps, seen = 12, []
    for step in train(run):
        if step.step > 6:
            seen.append(weights(run).double())
    assert run.average is not None
    mean = torch.cat([p.flatten() for p in run.average.model.parameters()])
    close(mean, torch.stack(seen).mean(0).float())


def test_lawa_is_the_mean_of_the_latest_weights_that_count_at_every_step(tmp_path: Path):
    """Of 10 steps the second, fourth, … count, and three of them are remembered."""
    strategy = replace(nesterov(), averaging=LAWA(latest=3, distance=0.2), schedule=Constant())
    run = build(*compose(str(rings_file(tmp_path / "r.npz")), SMALL_NET, strategy, steps=10))[0]
    seen: list[torch.Tensor] = []
    for step in train(run):
        if step.step == 1 or step.step % 2 == 0:
            seen.append(weights(run).double())
        assert run.average is not None
        mean = torch.cat([p.flatten() for p in run.average.model.parameters()])
        wanted = seen[1:][-3:] or seen
        close(mean, (sum(wanted) / torch.tensor(len(wanted))).float())
    assert run.average is not None
    assert len(run.average.latest) == 3


def test_parts_stop_learning_at_their_step_and_go_into_evaluation_mode():
    strategy = replace(nesterov(), freezing=Freezing(first=0.3, last=0.6))
    run = build(compose("digits", SMALL_NET, strategy, steps=10)[0], rings())[0]
    parts, stops = run.freezable, {0: 3, 1: 4, 2: 6}  # round(0.45 · 10) is 4
    assert len(parts) == 3
    before = [tensors(part) for part in parts]
    for step in train(run):
        for number, part in enumerate(parts):
            stopped = step.step > stops[number]
            assert all(p.requires_grad != stopped for p in part.parameters())
            assert part.training != stopped
            same = all(a.equal(b) for a, b in zip(before[number], tensors(part), strict=True))
            assert same == stopped
            if stopped:
                assert all(p.grad is None for p in part.parameters())
            before[number] = tensors(part)
    assert all(p.requires_grad for p in run.model.get_submodule("head").parameters())


def tensors(part: nn.Module) -> list[torch.Tensor]:
    return [tensor.clone() for tensor in part.state_dict().values()]


def test_a_run_that_grew_longer_learns_again_and_what_was_frozen_stays_so():
    strategy = replace(nesterov(), freezing=Freezing(first=0.5, last=0.5))
    run = build(compose("digits", SMALL_NET, strategy, steps=4, freeze=1)[0], rings())[0]
    list(train(run))
    assert not any(p.requires_grad for part in run.freezable for p in part.parameters())
    run.steps = 100
    next(train(run))
    learning = [any(p.requires_grad for p in part.parameters()) for part in run.freezable]
    assert learning == [False, False, True]
    assert [part.training for part in run.freezable] == learning


def test_freezing_counts_parts_so_it_needs_a_network_that_has_them():
    made = compose("digits", SMALL_NET, replace(nesterov(), freezing=Freezing()), steps=1)[0]
    own = dataclasses.replace(made, network=_call())
    with pytest.raises(ValueError, match=r"strategy\.freezing counts blocks from the stem"):
        build(own, rings())


def own_network(inputs, classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(192, classes))


def _call():
    from skipwise.description import Call

    return Call(target=f"{__name__}:own_network")


VECTORS = Ends(inputs=(6,), outputs=(5,))
PICTURES = Ends(inputs=(3, 8, 8), outputs=(3, 8, 8))
PRE, FULL = replace(preresnet20(), blocks=(1,), width=4), FullyConvolutional(width=4, blocks=2)
DROPPING = {  # a network, its twin that drops nothing, and what they read and give
    "head": (replace(SMALL_NET, dropout=0.5), SMALL_NET, SMALL),
    "branch": (replace(PRE, branch=PreActivation(dropout=0.5)), PRE, SMALL),
    "perceptron": (replace(mlp(), branch=Perceptron(dropout=0.5)), mlp(), VECTORS),
    "depth of an mlp": (replace(mlp(), connection=StochasticDepth()), mlp(), VECTORS),
    "depth at full resolution": (
        Outermost(inner=replace(FULL, connection=StochasticDepth())),
        Outermost(inner=FULL),
        PICTURES,
    ),
}


@pytest.mark.parametrize("name", DROPPING)
def test_dropping_is_noise_in_training_and_nothing_in_evaluation(name: str):
    description, without, ends = DROPPING[name]
    torch.manual_seed(0)
    network, x = description.build(ends), torch.randn(16, *ends.inputs)
    with torch.no_grad():
        for parameter in network.parameters():  # what starts at zero would hide it
            parameter.add_(0.1 * torch.randn_like(parameter))
    first, second = network(x), network(x)
    assert not torch.equal(first, second)
    twin = without.build(ends)
    twin.load_state_dict(network.state_dict())
    assert torch.equal(network.eval()(x), twin.eval()(x))


def test_dropout_drops_its_share_and_keeps_the_mean():
    head = replace(SMALL_NET, width=64, dropout=0.25).build(SMALL).get_submodule("head").train()
    dropped = head.get_submodule("dropout")(torch.ones(1000, 64))
    zeros = (dropped == 0).double().mean().item()
    assert zeros == pytest.approx(0.25, abs=5 * (0.25 * 0.75 / 64_000) ** 0.5)
    close(dropped[dropped != 0], torch.full((int((dropped != 0).sum()),), 4 / 3))


def test_a_dropout_that_is_no_probability_is_refused():
    for make in (
        lambda: replace(SMALL_NET, dropout=1.0),
        lambda: PreActivation(dropout=-0.1),
        lambda: Perceptron(dropout=1.0),
    ):
        with pytest.raises(ValueError, match=r"dropout must lie in \[0, 1\)"):
            make()
