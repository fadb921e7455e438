"""Trying the cases: examine the faulty specimen, examine its twin, and note what was said."""

import math
import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
import torch

from skipwise.description import nearest
from skipwise.diagnosis import Diagnosis, Level, Verdict, examine
from skipwise.selftest.case import Case, Design, Specimen
from skipwise.selftest.cases import CASES, DESIGNS
from skipwise.selftest.record import SelftestRecord, Trial

Examination: TypeAlias = Callable[[Specimen], Diagnosis]
WORST_FIRST = tuple(Level)


def examined(specimen: Specimen) -> Diagnosis:
    """Examine a specimen as ``diagnosis.examine`` does it for a user, without a limit of time.

    A limit would leave out measurements on a slow machine, and the verdicts with them.
    """
    return examine(specimen.model, specimen.batches, seconds=math.inf, **specimen.asked())


def run_selftest(
    *,
    seeds: int | Sequence[int] = 1,
    cases: Sequence[str] | None = None,
    seconds: float | None = None,
    examination: Examination = examined,
) -> SelftestRecord:
    """Plant every fault, show every healthy twin, and count what the verdicts say of them.

    Args:
        seeds: How many networks of each kind, from seeds 0, 1, …; or which seeds.
        cases: Names of cases; all if None.
        seconds: Begin no further seed of a case after so long; the first of each is always tried.
        examination: What is tested; that of this installation unless told otherwise.

    Raises:
        ValueError: If there is no such case or no seed.
    """
    found = trials(seeds=seeds, cases=cases, seconds=seconds, examination=examination)
    return SelftestRecord(trials=tuple(found), facts=facts())


def trials(
    *,
    seeds: int | Sequence[int] = 1,
    cases: Sequence[str] | None = None,
    seconds: float | None = None,
    examination: Examination = examined,
) -> Iterator[Trial]:
    """Try one case after another, each with all seeds; the arguments are :func:`run_selftest`'s.

    Raises:
        ValueError: If there is no such case or no seed.
    """
    chosen = range(seeds) if isinstance(seeds, int) else seeds
    if not chosen:
        raise ValueError("the selftest needs a seed at least; every one plants each fault once")
    began = time.perf_counter()
    for case in choose(cases):
        for number, seed in enumerate(chosen):
            if number and seconds is not None and time.perf_counter() - began > seconds:
                break
            yield tried(case, seed, examination)


def choose(names: Sequence[str] | None = None) -> tuple[Case | Design, ...]:
    """Give the cases of these names, or all.

    Raises:
        ValueError: If there is no such case; the nearest is offered.
    """
    known: dict[str, Case | Design] = {case.name: case for case in (*CASES, *DESIGNS)}
    for name in names or ():
        if name not in known:
            raise ValueError(f"there is no case {name!r}{nearest(name, known)}")
    return tuple(known[name] for name in names or known)


def tried(case: Case | Design, seed: int, examination: Examination = examined) -> Trial:
    """Try one case with one seed; an examination that stops is a finding about itself."""
    began = time.perf_counter()
    try:
        trial = _tried(case, seed, examination)
    except Exception as error:  # whatever stops it here may stop it on a user's network
        planted = isinstance(case, Case)
        why = f"{type(error).__name__}: {' '.join(str(error).split())}"
        trial = Trial(
            case=case.name,
            seed=seed,
            rule=case.rule if planted else "",
            found=False if planted else None,
            broken=why,
        )
    return replace(trial, seconds=time.perf_counter() - began)


def facts() -> dict[str, Any]:
    """Give the versions that a record holds for."""
    named = {"torch": torch.__version__, "numpy": np.__version__}
    return {"python": platform.python_version(), **named, "machine": platform.machine()}


def _tried(case: Case | Design, seed: int, examination: Examination) -> Trial:
    if isinstance(case, Design):
        return _shown(Trial(case=case.name, seed=seed), examination(case.build(seed)))
    verdicts = examination(case.build(seed, faulty=True)).verdicts
    said = next((verdict for verdict in verdicts if verdict.rule == case.rule), None)
    level = Level.UNKNOWN if said is None else said.level
    trial = Trial(
        case=case.name,
        seed=seed,
        rule=case.rule,
        found=WORST_FIRST.index(level) <= WORST_FIRST.index(case.least),
        level=level.value,
        says=f"no verdict {case.rule} was given" if said is None else said.says,
    )
    return _shown(trial, examination(case.build(seed, faulty=False)))


def _shown(trial: Trial, twin: Diagnosis) -> Trial:
    """Add what was said of the healthy twin."""
    return replace(
        trial,
        accused=_sentences(twin.of(Level.FAIL)),
        warned=_sentences(twin.of(Level.WARN)),
        measured=tuple(v.rule for v in twin.verdicts if v.level is not Level.UNKNOWN),
    )


def _sentences(verdicts: Sequence[Verdict]) -> Mapping[str, str]:
    return {verdict.rule: verdict.says for verdict in verdicts}
