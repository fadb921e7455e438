"""From the folders of a study's runs to the records that the statistics are computed from."""

import math
import shlex
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from itertools import accumulate
from pathlib import Path

from skipwise import networks
from skipwise.comparison import Ablation, ArmRun, Design, Point, StudyRecord, Trial
from skipwise.comparison import Arm as ArmRecord
from skipwise.comparison.study import NO_TEST
from skipwise.comparison.tables import CHANGED
from skipwise.description import Call
from skipwise.files import METRICS, STUDY
from skipwise.records import EvaluationRecord, MeasureRecord, NoteRecord, StepRecord, read_journal
from skipwise.reports import SHARES
from skipwise.strategies import named_strategies
from skipwise.studies.ablation import FULL, NONE, ONLY, WITHOUT
from skipwise.studies.arms import NETWORK, STRATEGY, Arm, word_of
from skipwise.studies.launchers import DIVERGED, Outcome, Task, mark_of
from skipwise.studies.plan import Plan
from skipwise.studies.study import Study
from skipwise.studies.tuning import Tried, Tuned, rungs_in_words

PASSES = 3  # a gradient costs a forward pass, and backward twice as much again
GRADIENTS = "gradient norm"


def design_of(plan: Plan, *, jobs: str, tuned: Mapping[str, Tuned] | None = None) -> Design:
    """Give the design, as it was declared.

    Args:
        plan: The study.
        jobs: How the runs are launched, in words.
        tuned: What tuning found, for the settings of the arms.
    """
    study, percent = plan.study, plan.metric in SHARES
    margin = study.margin
    return Design(
        data=study.data.name,
        metric=plan.metric.replace("_", " "),
        arms=tuple(_arm(arm) for arm in plan.arms),
        seeds=plan.seeds,
        family=plan.family,
        lower_is_better=not plan.higher,
        percent=percent,
        margin=margin / 100 if margin is not None and percent else margin,
        target=study.target,
        worst=0.0 if percent else None,  # no share is less
        earlier_seeds=tuple(plan.facts.get("earlier_seeds", ())),
        ablation=_ablation(plan.arms) if study.ablate else None,
        facts=_facts(plan, jobs, tuned or {}),
    )


def _arm(arm: Arm) -> ArmRecord:
    """Give an arm's record; what is varied in the network is a part of the network's name."""
    of_network = {k: v for k, v in arm.settings.items() if k.startswith(f"{NETWORK}.")}
    words = [f"{key.rpartition('.')[2]}={value}" for key, value in of_network.items()]
    return ArmRecord(
        name=arm.name,
        network=" ".join([arm.place[NETWORK], *words]),
        strategy=arm.place[STRATEGY],
        settings={
            key.removeprefix(f"{STRATEGY}."): value
            for key, value in arm.settings.items()
            if key not in of_network
        },
    )


def _ablation(arms: Sequence[Arm]) -> Ablation:
    named = [(arm.part, arm.name) for arm in arms if arm.part is not None]
    kinds = {part.kind: name for part, name in named}
    parts = [
        {part.name: name for part, name in named if part.kind == kind} for kind in (WITHOUT, ONLY)
    ]
    return Ablation(full=kinds[FULL], none=kinds[NONE], without=parts[0], only=parts[1])


def _facts(plan: Plan, jobs: str, tuned: Mapping[str, Tuned]) -> dict[str, str]:
    facts, experiment = plan.facts, plan.study.experiment
    lengths = {"epochs": experiment.epochs, "steps": experiment.steps, "s": experiment.seconds}
    budget = next(f"{value:g} {unit}" for unit, value in lengths.items() if value is not None)
    found = {
        "length of every run": budget,
        "batch": "varied" if _varies(plan, "batch_size") else f"{experiment.batch_size} examples",
        "data, SHA-256": plan.digest,
        **{f"{name} part": words for name, words in facts["parts"].items()},
        "versions": f"skipwise {facts['version']}, torch {facts['torch']}",
        "runs": f"{jobs}, the arms in turn by seed",
        "begun": facts.get("begun", ""),
        "command": _command(plan),
    }
    found |= dict(_changed(plan.study))
    if "test" not in facts["parts"]:
        also = " and the tuned values" if plan.study.trials else ""
        found[NO_TEST] = f"scores are of validation data, which also chose the weights{also}"
    if plan.study.target is not None:
        found["multiplications"] = _counting(plan)
    if plan.study.trials:
        found["tuning"] = (
            f"{plan.study.trials} trials an arm ({plan.study.tuner}), on validation, with a seed of"
            " their own"
        )
    if plan.study.halving:
        found["halving"] = (
            "within each arm the better half of its trials went on at"
            f" {rungs_in_words(plan.study.trials)}, all under the schedule of the whole"
        )
    for name, best in tuned.items():
        words = ", ".join(f"{key} {value:.3g}" for key, value in best.settings.items())
        edge = f" (at the edge: {', '.join(best.edge)})" if best.edge else ""
        found[f"tuned: {name}"] = words + edge
    return found


def _counting(plan: Plan) -> str:
    """Say how multiplications are counted, or of which arms they are not known."""
    macs = plan.facts.get("macs", {})
    unknown = [name for name, count in macs.items() if not count]
    if unknown:
        return f"not known of {', '.join(unknown)}, so times are not counted in them"
    return "three forward passes a gradient; evaluations do not count"


def _varies(plan: Plan, path: str) -> bool:
    return any(key.rpartition(":")[2] == path for key in plan.study.vary)


def _command(plan: Plan) -> str:
    words = ["skipwise", "compare", str(plan.folder / STUDY)]
    allowed = [word for package in plan.study.packages for word in ("--allow", package)]
    return shlex.join([*words, *allowed])


def _changed(study: Study) -> Iterator[tuple[str, str]]:
    """Say what a network or a strategy has other than what its name stands for."""
    rules = named_strategies()
    for thing in (*study.networks, *study.strategies):
        if isinstance(thing, Call):  # a user's own function may be called as one of ours
            continue
        maker = rules.get(thing.name) or vars(networks).get(thing.name.replace("-", "_"))
        known = maker() if callable(maker) else None
        if type(known) is not type(thing) or not is_dataclass(thing):
            continue
        pairs = [(f.name, getattr(thing, f.name), getattr(known, f.name)) for f in fields(thing)]
        words = [f"{name}={word_of(now)}" for name, now, before in pairs if now != before]
        if words:
            yield f"{CHANGED}{thing.name}", ", ".join(words)


def record_of_study(
    plan: Plan,
    tasks: Sequence[Task],
    design: Design,
    tried: Mapping[str, Sequence[Tried]],
    tuned: Mapping[str, Tuned],
) -> StudyRecord:
    """Read what the runs left; one without a mark of its end is missing."""
    arms = {arm.name: arm for arm in plan.arms}
    runs = []
    for task in tasks:
        mark = mark_of(Path(task.folder))
        if mark is not None:
            runs.append(_run(plan, arms[task.arm], task, mark))
    return StudyRecord(design=design, runs=tuple(runs), trials=tuple(_trials(tried, tuned)))


def _run(plan: Plan, arm: Arm, task: Task, mark: Outcome) -> ArmRun:
    folder = Path(task.folder)
    events = list(read_journal(folder / METRICS))
    steps = [event for event in events if isinstance(event, StepRecord)]
    seconds = dict(zip([s.step for s in steps], accumulate(s.seconds for s in steps), strict=True))
    curve = [
        Point(step=e.step, seconds=seconds.get(e.step, math.nan), score=e.metrics[plan.metric])
        for e in events
        if isinstance(e, EvaluationRecord) and e.part == "validation"
    ]
    reached = _reached(plan, curve)
    macs = plan.facts.get("macs", {}).get(arm.name, 0) * PASSES
    until = math.inf if reached is None else reached.step
    passed = sum(s.examples * s.gradients for s in steps if s.step <= until)
    return ArmRun(
        arm=arm.name,
        seed=task.seed,
        score=math.nan if mark.score is None else mark.score,
        diverged=mark.state == DIVERGED,
        curve=tuple(curve),
        steps=mark.steps,
        seconds=sum(s.seconds for s in steps),
        steps_to_target=math.inf if reached is None else reached.step,
        seconds_to_target=math.inf if reached is None else reached.seconds,
        macs_to_target=macs * passed if reached is not None and macs else math.inf,
        clipped=sum(s.clipped for s in steps),
        skipped=sum(s.skipped for s in steps),
        rolled_back=sum(e.returned for e in events if isinstance(e, NoteRecord)),
        gradient_flow=_flow([e for e in events if isinstance(e, MeasureRecord)]),
        path=str(folder.relative_to(plan.folder.absolute())),
    )


def _reached(plan: Plan, curve: Sequence[Point]) -> Point | None:
    target = plan.study.target
    if target is None:
        return None
    sign = 1 if plan.higher else -1
    return next((point for point in curve if sign * point.score >= sign * target), None)


def _flow(measures: Sequence[MeasureRecord]) -> tuple[float, ...]:
    """Give the median of each layer's gradient norm over the run."""
    seen = [list(m.values.values()) for m in measures if m.name == GRADIENTS]
    return tuple(statistics.median(layer) for layer in zip(*seen, strict=True))


def _trials(tried: Mapping[str, Sequence[Tried]], tuned: Mapping[str, Tuned]) -> list[Trial]:
    found = []
    for name, trials in tried.items():
        best = tuned[name].settings if name in tuned else None
        chosen = next((n for n, trial in enumerate(trials) if trial.settings == best), None)
        found += [
            Trial(
                arm=name,
                settings=trial.settings,
                score=math.nan if trial.score is None else trial.score,
                seconds=trial.seconds,
                chosen=number == chosen,
                share=trial.until,
            )
            for number, trial in enumerate(trials)
        ]
    return found
