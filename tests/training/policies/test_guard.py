"""The guard on planted explosions and on their healthy twins."""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import pytest
import torch
from torch import nn

from skipwise.data import Batch, Batches, InMemory
from skipwise.networks import fixup20, resnet20
from skipwise.strategies import (
    EMA,
    SAM,
    SGD,
    Constant,
    Freezing,
    Guard,
    Strategy,
    ZClip,
    adam,
    adamw,
    nesterov,
    sgd,
)
from skipwise.tasks import Classification
from skipwise.training import (
    Average,
    Diverged,
    Run,
    Step,
    evaluate,
    guarded,
    train,
)
from skipwise.training.policies.guard import History
from skipwise.training.policies.origin import origin
from tests.references import SMALL, rings, tensors

DATA = rings()
TASK = Classification(classes=5)
PLAIN = replace(nesterov(), weight_decay=0.0)


def explosive(gain: float = 1.5, depth: int = 10, width: int = 8, seed: int = 0) -> nn.Sequential:
    """A plain network without norms and biases, at He's deviation times a gain."""
    noise, layers, before = torch.Generator().manual_seed(seed), [], 3
    for _ in range(depth):
        layer = nn.Conv2d(before, width, 3, padding=1, bias=False)
        deviation = gain * (2 / (9 * before)) ** 0.5
        layer.weight.data = deviation * torch.randn(layer.weight.shape, generator=noise)
        layers, before = [*layers, layer, nn.ReLU()], width
    head = nn.Linear(64 * width, 5, bias=False)
    head.weight.data = torch.randn(head.weight.shape, generator=noise) / (64 * width) ** 0.5
    return nn.Sequential(*layers, nn.Flatten(), head)


def normed() -> nn.Module:
    torch.manual_seed(0)
    return replace(resnet20(), width=4, blocks=(1, 1)).build(SMALL)


def a_run(
    strategy: Strategy, model: nn.Module, *, steps: int = 60, poisoned: Sequence[int] = ()
) -> Run:
    """A run over the rings; the poisoned ones of its examples have a pixel that is not finite."""
    inputs, targets = DATA.train.gather(torch.arange(len(DATA.train)))
    inputs = inputs.float()
    inputs[list(poisoned), 0, 3, 3] = torch.inf
    batches = Batches(
        InMemory(inputs, targets),
        DATA.preprocessing,
        size=32,
        seed=0,
        classes=5,
        device=torch.device("cpu"),
    )
    run = Run(
        model=model,
        optimiser=strategy.build(model),
        batches=batches,
        loss=TASK.loss,
        strategy=strategy,
        steps=steps,
        seed=0,
        average=None if strategy.averaging is None else Average(model),
    )
    return guarded(run)


def accuracy(run: Run) -> float:
    record = evaluate(run.model, DATA.train, DATA.preprocessing, TASK, part="train")
    return record.metrics["accuracy"]


def said(steps: Sequence[Step]) -> str:
    return "\n".join(text for step in steps for text in step.notes)


def trained(
    strategy: Strategy, make: Callable[[], nn.Module], **more
) -> tuple[float, list[Step], Run]:
    run = a_run(strategy, make(), **more)
    steps = list(train(run))
    return accuracy(run), steps, run


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("gain", "depth", "rate"),
    [(1.0, 6, 0.2), (1.5, 8, 0.1)],
    ids=["a rate 10 times too high", "He x 1.5"],
)
def test_what_explodes_without_the_guard_is_trained_with_it(
    gain: float, depth: int, rate: float, seed: int
):
    strategy = replace(PLAIN, peak_lr=rate, schedule=Constant())
    lost, _, _ = trained(strategy, lambda: explosive(gain, depth, seed=seed), steps=20)
    guarding = replace(strategy, guard=Guard())
    saved, steps, run = trained(guarding, lambda: explosive(gain, depth, seed=seed), steps=120)
    assert lost < 0.3
    assert saved > 0.9
    assert [step.step for step in steps] == list(range(1, 121))
    returns = said(steps).count("the run returned to its state after step 0")
    assert returns >= 1
    assert run.rate_scale == pytest.approx(0.1**returns)


def test_a_poisoned_batch_is_skipped_each_time_and_the_example_named():
    lost = trained(PLAIN, normed, poisoned=[7])[0]
    saved, steps, run = trained(replace(PLAIN, guard=Guard()), normed, poisoned=[7])
    skipped = [step.step for step in steps if step.skipped]
    assert run.guard is not None
    assert run.guard.notes() == (f"the guard skipped {len(skipped)} of 60 steps",)
    with_it = [t + 1 for t in range(60) if 7 in run.batches[t].index]
    assert skipped == with_it
    assert len(skipped) > 5
    assert lost < 0.3
    assert saved > 0.9
    assert run.rate_scale == 1
    words = f"step {skipped[0]} was skipped, since its loss is nan; it began in the input: example"
    assert f"{words} 7 of the training part is not finite" in said(steps)


HEALTHY = {
    "norms": (nesterov(), normed),
    "norms, Adam": (adam(), normed),
    "no norms, a tenth of the rate": (
        replace(PLAIN, peak_lr=0.02, schedule=Constant()),
        lambda: explosive(1.0, 6),
    ),
    "with average, clip and state": (
        replace(nesterov(), averaging=EMA(), gradient=(ZClip(settling=5),)),
        normed,
    ),
    "Fixup": (
        replace(adamw(), scalar_rate=0.1),
        lambda: replace(fixup20(), width=4, blocks=(1, 1)).build(SMALL),
    ),
    "freezing": (
        replace(sgd(), freezing=Freezing(first=0.3)),
        normed,
    ),
}


@pytest.mark.parametrize("name", HEALTHY)
def test_healthy_twins_are_left_alone_bit_for_bit(name: str):
    strategy, make = HEALTHY[name]
    torch.manual_seed(0)
    twin = a_run(strategy, make())
    torch.manual_seed(0)
    run = a_run(replace(strategy, guard=Guard(settling=5, every=7, age=7)), make())
    pairs = list(zip(train(run), train(twin), strict=True))
    assert not any(mine.skipped or mine.notes for mine, _ in pairs)
    assert all(torch.equal(mine.loss, theirs.loss) for mine, theirs in pairs)
    for tensor, other in zip(run.chosen.state_dict().values(), twin.chosen.state_dict().values(),
                             strict=True):  # fmt: skip
        assert torch.equal(tensor, other)


def test_a_skipped_step_leaves_weights_statistics_optimiser_average_and_clip_as_they_were():
    strategy = replace(adam(), averaging=EMA(), gradient=(ZClip(),), guard=Guard())
    run = a_run(strategy, normed(), poisoned=[7])
    before = after = []
    for step in train(run):
        after = tensors(run.training_state())
        if step.skipped:
            break
        before = after
    assert len(before) > 60
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert not all(
        torch.isfinite(p.grad).all() for p in run.model.parameters() if p.grad is not None
    )


def test_the_history_holds_the_first_gradient_of_a_rule_that_takes_two():
    rule = replace(PLAIN, optimiser=SAM(base=SGD(momentum=0.9), radius=0.5), guard=Guard())
    run = a_run(rule, normed(), steps=8)
    norms = [float(step.gradient_norm) for step in train(run)]
    assert run.guard is not None
    found = run.guard.state()["history"]["log_norms"]
    assert found == pytest.approx([math.log(norm) for norm in norms], rel=1e-6)


def test_the_rate_is_lowered_from_a_return_on_and_the_batches_go_on():
    strategy = replace(PLAIN, peak_lr=1e4, guard=Guard(patience=2, factor=0.25, returns=20))
    run = a_run(strategy, normed(), steps=30)
    scales, seen = [], []
    for step in train(run):
        seen.append(step.rate / strategy.rate(step.step - 1, 30))
        scales.append(run.rate_scale)
    assert seen[0] == 1
    assert seen[1:] == pytest.approx(scales[:-1], rel=1e-12)


def test_the_guard_gives_up_and_says_after_how_many_returns():
    model = normed()
    next(model.parameters()).data.fill_(torch.nan)
    run = a_run(replace(PLAIN, guard=Guard(patience=2, returns=3)), model)
    told = (
        r"2 steps in a row were skipped \(step 7 was skipped, since its loss is nan; it began in"
        r" stem\.conv, the first whose output is not finite\) at step 8 after 3 returns to an"
        r" earlier state: training diverged; lower strategy\.peak_lr, or set strategy\.clip_norm$"
    )
    with pytest.raises(Diverged, match=told):
        list(train(run))
    with pytest.raises(Diverged, match=r"clip_norm, or strategy\.guard=Guard"):
        raise Diverged(1, 2.0)


def test_running_statistics_that_are_not_finite_are_seen_and_taken_back():
    run = a_run(replace(PLAIN, guard=Guard()), normed())
    taken = train(run)
    next(taken)
    norm = next(m for m in run.model.modules() if isinstance(m, nn.BatchNorm2d))
    assert norm.running_var is not None
    norm.running_var[0] = torch.inf
    assert not run.is_finite()
    step = next(taken)
    assert step.returned
    name = next(name for name, module in run.model.named_modules() if module is norm)
    assert f"step 2 left numbers that are not finite in {name};" in said([step])
    assert run.is_finite()
    norm.running_var[0] = 1e30  # finite, though its square is not
    assert not next(taken).returned


def first_batch(run: Run) -> Batch:
    run.step = 1  # as if the step had just been counted
    return run.batches[0]


@pytest.mark.parametrize(
    ("plant", "told"),
    [
        (lambda w: w.fill_(torch.inf), "4, the first whose output is not finite"),
        (lambda w: w.mul_(1e4), r"4, whose output, beside its input, is 1e\+04 times that before"),
        (lambda w: w, "no one layer: with the weights before all outputs on this batch"),
    ],
    ids=["infinite", "large", "none"],
)
def test_the_layer_in_which_it_began_is_found(plant, told: str):
    run = a_run(PLAIN, explosive(1.0, depth=3))
    earlier = {name: value.clone() for name, value in run.model.state_dict().items()}
    with torch.no_grad():
        plant(run.model.get_parameter("4.weight"))
    now = tensors(run.model.state_dict())
    found = origin(run, first_batch(run), earlier, "before")
    assert re.fullmatch(told + ".*", found), found
    after = tensors(run.model.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(now, after, strict=True))


def test_a_gradient_that_is_not_finite_is_traced_to_the_last_layer_that_has_one():
    run = a_run(PLAIN, explosive(1.0, depth=3))
    for name in ("0.weight", "2.weight"):
        weight = run.model.get_parameter(name)
        weight.grad = torch.full_like(weight, torch.nan)
    found = origin(run, first_batch(run), run.model.state_dict(), "before")
    assert found == "2, the last whose gradient is not finite"


def history(norms: Sequence[float], loss: float = 1.0, **changes) -> History:
    record = History(guard=Guard(**{"settling": 5, "patience": 3, **changes}))
    for norm in norms:
        record.add(loss, norm)
    return record


def test_the_tests_of_the_guard_are_those_of_its_formula():
    assert "its loss is nan" in history([]).problem(float("nan"), 1.0)
    assert "the norm inf" in history([]).problem(1.0, float("inf"))
    assert history([1.0] * 4).problem(1.0, 1e9) == ""  # settling
    assert history([1.0] * 20).problem(1.0, 9.9) == ""
    assert "norm 10.1, where 1 was usual in" in history([1.0] * 20).problem(1.0, 10.1)
    wide = [10.0 ** (n % 3) for n in range(30)]  # deviation 1.48 log 10: 6 of them are 8.9 decades
    assert history(wide).problem(1.0, 1e9) == ""
    assert history(wide).problem(1.0, 10**10.1) != ""
    assert history([5.0] * 5 + [0.01] * 40).problem(1.0, 40.0) == ""  # not beside the start
    assert history([1.0] * 30 + [6.0]).problem(1.0, 50.0) == ""  # nor beside the last steps
    assert history([1.0] * 30 + [6.0]).problem(1.0, 61.0) != ""


def test_a_loss_that_exploded_and_a_network_that_died_are_damage():
    healthy = history([1.0] * 12)
    assert healthy.damage() == ""
    for _ in range(3):
        healthy.add(10.5, 1.0)
    assert healthy.damage() == "the loss of the last 3 steps is 10.5, where 1 was usual"
    assert "hardly a unit is active" in history([1.0] * 5 + [0.0] * 3).damage()
    assert "hardly a unit is active" in history([1.0] * 5 + [0.0, 1.0] * 3).damage()
    assert history([1.0] * 5 + [0.0] * 3, loss=1e-4).damage() == ""  # it has learned all
    assert history([1.0] * 5 + [0.0] * 2).damage() == ""


def test_a_loss_that_rises_soon_after_a_return_means_that_the_rate_is_too_high_still():
    record = history([1.0] * 3, loss=3.0)
    record.add(4.5, 1.0)
    assert not record.rose()
    record.add(6.8, 1.0)
    assert record.rose()
    assert not history([1.0]).rose()
    assert not history([1.0] * 3, loss=0.1).rose()
    strategy = replace(PLAIN, peak_lr=0.1, schedule=Constant(), guard=Guard())
    _, steps, _ = trained(strategy, lambda: explosive(1.5, 8, seed=3), steps=20)
    texts = [text for step in steps for text in step.notes if "the run returned" in text]
    assert len(texts) == 2
    assert texts[0].startswith("5 steps in a row were skipped; the run returned")
    assert " soon after a return, where the state after step 0 has " in texts[1]
    assert "soon after a return" not in said(steps[:8])


def test_a_hard_batch_soon_after_a_return_is_no_rise():
    run = a_run(replace(PLAIN, guard=Guard()), normed())
    next(train(run))
    guard, batch = run.guard, run.batches[0]
    assert guard is not None
    before = [tensor.clone() for tensor in run.model.state_dict().values()]
    kept = guard._kept[0]["model"]
    network = normed()
    network.load_state_dict(kept)
    output = network.train()(batch.inputs)
    truth = -output.double().log_softmax(1)[range(len(batch)), batch.targets].mean().item()
    guard._now = (1.49 * truth, 1.0)
    assert guard._rise(batch) == ""
    guard._now = (1.51 * truth, 1.0)
    assert guard._rise(batch).endswith(f"where the state after step 0 has {truth:.3g}")
    after = run.model.state_dict().values()
    assert all(torch.equal(mine, old) for mine, old in zip(after, before, strict=True))


@dataclass(frozen=True, kw_only=True)
class Searching(SGD):
    """An optimiser that moves weights between two gradients."""

    can_skip = False


def test_what_a_guard_cannot_do_is_refused():
    with pytest.raises(ValueError, match="Searching asks for the gradient while it moves"):
        replace(nesterov(), optimiser=Searching(), guard=Guard())
    for make, told in (
        (lambda: Guard(patience=0), "patience of the guard must be positive, got 0"),
        (lambda: Guard(factor=1.0), r"factor of the guard must lie in \(0, 1\)"),
        (lambda: Guard(ratio=1.0), "ratio of the guard must be more than 1"),
        (lambda: Guard(age=-1), "age of the guard must not be negative"),
        (lambda: Guard(window=5), "window of the guard must be at least settling"),
        (
            lambda: Guard(patience=51).check_reach(),
            "window of the guard must be at least twice its patience",
        ),
        (
            lambda: Guard(kept=1).check_reach(),
            "of at most 0 steps ago, .* got 50; set a smaller age",
        ),
        (lambda: Guard(every=49).check_reach(), "of at most 49 steps ago"),
    ):
        with pytest.raises(ValueError, match=told):
            make()
    with pytest.raises(ValueError, match="of at most 0 steps ago"):
        a_run(replace(PLAIN, guard=Guard(kept=1)), normed())
    run = a_run(PLAIN, normed())
    run.is_sharded, run.strategy = True, replace(PLAIN, guard=Guard())
    with pytest.raises(ValueError, match=r"shard and strategy\.guard do not go together"):
        guarded(run)
