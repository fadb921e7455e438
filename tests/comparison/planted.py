"""Studies whose answer is known, written by hand."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from skipwise.comparison import Arm, ArmRun, Design, Point, StudyRecord, Trial

EIGHT = tuple(range(8))


def design(strategies: Sequence[str], *, networks: Sequence[str] = ("resnet20",), **more) -> Design:
    """Every strategy on every network; an arm is named ``network/strategy``."""
    arms = tuple(
        Arm(name=f"{network}/{strategy}", network=network, strategy=strategy)
        for network in networks
        for strategy in strategies
    )
    usual = {"data": "fashion-mnist", "metric": "accuracy", "percent": True, "seeds": EIGHT}
    return Design(**{**usual, "arms": arms, **more})


def study(plan: Design, scores: Mapping[str, Sequence[float]], **more) -> StudyRecord:
    """One run for each score, in the order of the seeds; NaN has diverged."""
    runs = tuple(
        ArmRun(arm=arm, seed=seed, score=score, diverged=math.isnan(score))
        for arm, values in scores.items()
        for seed, score in zip(plan.seeds, values, strict=False)
    )
    return StudyRecord(design=plan, runs=runs, **more)


def two(first: Sequence[float], second: Sequence[float], **more) -> StudyRecord:
    """Momentum against SGD, with these scores."""
    plan = design(["sgd", "momentum"], family=(("resnet20/momentum", "resnet20/sgd"),), **more)
    return study(plan, {"resnet20/momentum": first, "resnet20/sgd": second})


def whole() -> StudyRecord:
    """A study with everything: two networks, three strategies, curves, targets, trials, a failure.

    Momentum is two points better than SGD, Adam as good as SGD, and the plain network worse by one.
    """
    names = ["sgd", "momentum", "adam"]
    family = [
        (f"{network}/{strategy}", f"{network}/sgd")
        for network in ("plain20", "resnet20")
        for strategy in names[1:]
    ]
    plan = design(
        names,
        networks=("plain20", "resnet20"),
        family=tuple(family),
        target=0.88,
        facts={"epochs": "2", "device": "cpu"},
    )
    runs = [
        _run(arm.network, arm.strategy, seed, names) for arm in plan.arms for seed in plan.seeds
    ]
    trials = [
        Trial(
            arm=arm.name,
            settings={"rate": rate},
            score=0.9 - 0.05 * math.log10(rate / 0.1) ** 2 if rate < 3 else math.nan,
            seconds=5.0,
            chosen=rate == 0.1,
        )
        for arm in plan.arms
        for rate in (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
    ]
    return StudyRecord(design=plan, runs=tuple(runs), trials=tuple(trials))


def _run(network: str, strategy: str, seed: int, names: Sequence[str]) -> ArmRun:
    random = np.random.default_rng([seed, len(network), names.index(strategy)])
    shared = np.random.default_rng(seed).normal(0, 0.004)
    level = 0.88 + 0.02 * (strategy == "momentum") + 0.01 * (network == "resnet20") + shared
    level += random.normal(0, 0.002)
    failed = strategy == "adam" and network == "plain20" and seed == 3
    steps = [10 * n for n in range(1, 11)]
    points = [Point(step=s, seconds=0.1 * s, score=level - 0.4 * math.exp(-s / 20)) for s in steps][
        : 4 if failed else None
    ]
    reached = next((p.step for p in points if p.score >= 0.88 and not failed), math.inf)
    return ArmRun(
        arm=f"{network}/{strategy}",
        seed=seed,
        score=math.nan if failed else level,
        diverged=failed,
        curve=tuple(points),
        steps=points[-1].step,
        seconds=points[-1].seconds,
        steps_to_target=reached,
        seconds_to_target=0.1 * reached,
        macs_to_target=1e6 * reached,
        clipped=seed,
        gradient_flow=tuple(0.1 * 2**-n for n in range(5)),
        path=f"runs/{network}-{strategy}-{seed}",
    )
