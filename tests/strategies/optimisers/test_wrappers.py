"""Rules around rules: SAM by hand, slow weights, and what a broken step leaves behind."""

import copy
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from skipwise.strategies import (
    ASAM,
    GSAM,
    LBFGS,
    SAM,
    SGD,
    Lookahead,
    Optimiser,
    ScheduleFreeSGD,
)
from tests.references import close

CURVES = {"w": np.array([[3.0, 1.0], [1.0, 2.0]]), "b": np.array([0.5, 4.0])}
START = {"w": np.array([[1.0, -2.0], [0.5, 3.0]]), "b": np.array([-1.0, 2.0])}


def loss_of(parts: dict[str, nn.Parameter]) -> Tensor:
    """Give Σ c w⁴/4, whose gradient c w³ is known without backpropagation."""
    return sum(
        ((torch.from_numpy(CURVES[n]) * p**4).sum() / 4 for n, p in parts.items()),
        start=torch.zeros((), dtype=torch.float64),
    )


def parameters() -> dict[str, nn.Parameter]:
    return {name: nn.Parameter(torch.from_numpy(value.copy())) for name, value in START.items()}


def made(rule: Optimiser, parts: dict[str, nn.Parameter], rate: float) -> torch.optim.Optimizer:
    return rule.build([{"params": [p], "weight_decay": 0.0} for p in parts.values()], rate=rate)


def asked_again(
    optimiser: torch.optim.Optimizer, parts: dict[str, nn.Parameter]
) -> Callable[[], Tensor]:
    """Give the closure that computes the gradients anew."""

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = loss_of(parts)
        loss.backward()
        return loss.detach()

    return closure


def steps(rule: Optimiser, count: int, rate: float = 0.01) -> tuple[dict, list[float]]:
    parts, losses = parameters(), []
    optimiser = made(rule, parts, rate)
    closure = asked_again(optimiser, parts)
    for _ in range(count):
        losses.append(float(optimiser.step(closure)))  # pyright: ignore
    return parts, losses


@pytest.mark.parametrize("count", [1, 20])
@pytest.mark.parametrize(
    "rule",
    [SAM(radius=0.1), ASAM(radius=0.3, least=0.2), GSAM(radius=0.1, share=0.3)],
    ids=["sam", "asam", "gsam"],
)
def test_both_gradients_are_those_of_the_paper(rule: SAM | ASAM | GSAM, count: int):
    w, v = dict(START), {n: np.zeros_like(p) for n, p in START.items()}
    for _ in range(count):
        g = {n: CURVES[n] * w[n] ** 3 for n in w}
        scale = {n: np.ones_like(w[n]) for n in w}
        if isinstance(rule, ASAM):
            scale["w"] = np.abs(w["w"]) + rule.least
        length = np.sqrt(sum(((scale[n] * g[n]) ** 2).sum() for n in w))
        far = {n: w[n] + rule.radius * scale[n] ** 2 * g[n] / length for n in w}
        low, g = g, {n: CURVES[n] * far[n] ** 3 for n in w}
        if isinstance(rule, GSAM):
            along = sum((low[n] * g[n]).sum() for n in w) / sum((g[n] ** 2).sum() for n in w)
            g = {n: g[n] - rule.share * (low[n] - along * g[n]) for n in w}
        v = {n: 0.9 * v[n] + g[n] for n in w}
        w = {n: w[n] - 0.01 * (g[n] + 0.9 * v[n]) for n in w}
    found, losses = steps(rule, count)
    assert losses[0] == pytest.approx(sum((CURVES[n] * START[n] ** 4).sum() / 4 for n in START))
    for name, parameter in found.items():
        close(parameter.detach(), torch.from_numpy(w[name]))


def test_a_step_that_breaks_off_leaves_the_weights():
    for broken_call in (1, 2):
        parts, calls = parameters(), []
        optimiser = made(SAM(), parts, 0.1)

        def closure(
            parts: dict = parts, calls: list = calls, broken_call: int = broken_call
        ) -> Tensor:
            calls.append(1)
            loss = loss_of(parts)
            loss.backward()
            if len(calls) == broken_call:
                raise FloatingPointError
            return loss

        with pytest.raises(FloatingPointError):
            optimiser.step(closure)  # pyright: ignore
        assert all(torch.equal(p, torch.from_numpy(START[n])) for n, p in parts.items())
        assert not optimiser.state


def test_sam_needs_a_closure():
    parts = parameters()
    with pytest.raises(TypeError, match="call step with a closure"):
        made(SAM(), parts, 0.1).step()


@pytest.mark.parametrize("count", [4, 5, 6, 20])
def test_slow_weights_follow_every_few_steps(count: int):
    rule = Lookahead(base=SGD(momentum=0.5), steps=5, share=0.3)
    w, slow, v = dict(START), dict(START), {n: np.zeros_like(p) for n, p in START.items()}
    for t in range(1, count + 1):
        v = {n: 0.5 * v[n] + CURVES[n] * w[n] ** 3 for n in w}
        w = {n: w[n] - 0.01 * v[n] for n in w}
        if t % 5 == 0:
            slow = {n: slow[n] + 0.3 * (w[n] - slow[n]) for n in w}
            w = dict(slow)
    parts = parameters()
    optimiser = made(rule, parts, 0.01)
    for _ in range(count):
        optimiser.zero_grad()
        loss_of(parts).backward()
        optimiser.step()
    evaluated = rule.evaluated(optimiser)
    for name, parameter in parts.items():
        close(parameter.detach(), torch.from_numpy(w[name]))
        close(evaluated[parameter], torch.from_numpy(slow[name]))


def test_slow_weights_of_a_state_can_be_taken_up_again():
    rule, found = Lookahead(base=SGD(), steps=2), []
    parts = parameters()
    optimiser = made(rule, parts, 0.01)
    start = {n: p.detach().clone() for n, p in parts.items()}
    for parameter in parts.values():
        parameter.grad = torch.ones_like(parameter)
    optimiser.step()
    state = copy.deepcopy(optimiser.state_dict())
    for _ in range(2):
        for name, parameter in parts.items():
            parameter.data.copy_(start[name])
        optimiser.load_state_dict(state)
        for _ in range(3):
            optimiser.step()
        found.append({n: p.detach().clone() for n, p in parts.items()})
    assert all(torch.equal(value, found[1][name]) for name, value in found[0].items())


@pytest.mark.parametrize("rule", [SAM(), Lookahead(), ScheduleFreeSGD()], ids=repr)
def test_a_rate_is_followed_after_a_state_was_taken_up_too(rule: Optimiser):
    parts = parameters()
    optimiser = made(rule, parts, 0.01)

    closure = asked_again(optimiser, parts)
    optimiser.step(closure)  # pyright: ignore
    optimiser.load_state_dict(copy.deepcopy(optimiser.state_dict()))
    before = {name: p.detach().clone() for name, p in parts.items()}
    for rate, moves in ((1e-9, False), (0.01, True)):
        for group in optimiser.param_groups:
            group["lr"] = rate
        optimiser.step(closure)  # pyright: ignore
        change = max(float((p.detach() - before[n]).abs().max()) for n, p in parts.items())
        assert (change > 1e-6) is moves


def test_sam_climbs_with_what_learns_alone():
    parts = parameters()
    still = nn.Parameter(torch.ones(3, dtype=torch.float64))
    optimiser = made(SAM(radius=0.1), {**parts, "still": still}, 0.01)

    closure = asked_again(optimiser, parts)
    optimiser.step(closure)  # pyright: ignore
    wanted, _ = steps(SAM(radius=0.1), 1)
    assert torch.equal(still, torch.ones_like(still))
    assert all(torch.equal(p, wanted[name]) for name, p in parts.items())


def test_lookahead_leaves_what_has_no_gradient_any_more_and_evaluates_it_as_it_is():
    rule, parts = Lookahead(steps=2), parameters()
    optimiser = made(rule, parts, 0.01)
    (name, frozen), *_ = parts.items()
    for step in range(4):
        optimiser.zero_grad()
        loss_of(parts).backward()
        if step == 3:
            frozen.grad, before = None, frozen.detach().clone()
        optimiser.step()
    assert torch.equal(frozen, before)  # pyright: ignore[reportPossiblyUnboundVariable]
    assert torch.equal(rule.evaluated(optimiser)[frozen], before)  # pyright: ignore
    assert not torch.equal(before, torch.from_numpy(START[name]))  # pyright: ignore


def test_lbfgs_solves_a_quadratic_in_one_step_and_reports_the_loss_before_it():
    parts = parameters()
    rule = LBFGS(still=1e-14, iterations=50)
    optimiser = rule.build([{"params": list(parts.values()), "weight_decay": 0.0}], rate=1.0)

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = sum(
            ((torch.from_numpy(CURVES[n]) * (p - 1) ** 2).sum() for n, p in parts.items()),
            start=torch.zeros((), dtype=torch.float64),
        )
        loss.backward()
        return loss.detach()

    before = float(closure())
    assert float(optimiser.step(closure)) == pytest.approx(before)  # pyright: ignore
    for parameter in parts.values():
        assert (parameter - 1).abs().max() < 1e-6


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: SAM(base=SAM()), "SAM asks for the gradient twice, and SAM does so itself"),
        (
            lambda: SAM(base=Lookahead(base=SAM())),
            "SAM asks for the gradient twice, and Lookahead does so itself",
        ),
        (lambda: ASAM(base=LBFGS()), "ASAM asks for the gradient twice, and LBFGS does so itself"),
        (lambda: SAM(radius=0.0), "radius must be positive, got 0.0"),
        (lambda: ASAM(least=-1), "least must be positive, got -1"),
        (lambda: SAM(radius=math.inf), "radius must be finite, got inf"),
        (lambda: Lookahead(steps=0), "steps must be positive, got 0"),
        (lambda: Lookahead(share=0), r"share must lie in \(0, 1\], got 0"),
        (lambda: Lookahead(base=ScheduleFreeSGD()), "ScheduleFreeSGD averages its weights"),
        (lambda: Lookahead(base=Lookahead()), "Lookahead averages its weights"),
        (lambda: Lookahead(base=LBFGS()), "searches along a line; take another"),
    ],
)
def test_bases_and_numbers_that_do_not_fit_are_refused(make, words: str):
    with pytest.raises(ValueError, match=words):
        make()


def test_lbfgs_refuses_what_it_cannot_do():
    few, many = (nn.Parameter(torch.zeros(n)) for n in (3, 500_001))
    with pytest.raises(ValueError, match=r"at most 500,000 parameters and these are 500,001"):
        LBFGS().build([{"params": [many]}], rate=1.0)
    with pytest.raises(ValueError, match=r"no decay; set strategy\.weight_decay=0"):
        LBFGS().build([{"params": [few], "weight_decay": 0.1}], rate=1.0)
    with pytest.raises(ValueError, match="one rate for all parameters"):
        LBFGS().build([{"params": [few], "factor": 0.1}], rate=1.0)


def test_sam_in_lookahead_is_its_formula():
    found, _ = steps(Lookahead(base=SAM(base=SGD(momentum=0.5), radius=0.1), steps=3, share=0.3), 7)
    w, slow, v = dict(START), dict(START), {n: np.zeros_like(p) for n, p in START.items()}
    for t in range(1, 8):
        g = {n: CURVES[n] * w[n] ** 3 for n in w}
        length = np.sqrt(sum((g[n] ** 2).sum() for n in w))
        far = {n: w[n] + 0.1 * g[n] / length for n in w}
        v = {n: 0.5 * v[n] + CURVES[n] * far[n] ** 3 for n in w}
        w = {n: w[n] - 0.01 * v[n] for n in w}
        if t % 3 == 0:
            slow = {n: slow[n] + 0.3 * (w[n] - slow[n]) for n in w}
            w = dict(slow)
    for name, parameter in found.items():
        close(parameter.detach(), torch.from_numpy(w[name]))
