"""Examine a model: every measurement that applies, then what the rules say of them."""

import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from torch import nn
from torch.optim import Optimizer

from skipwise.analysis import Measurement, Rule, Sites, untouched
from skipwise.analysis.problem import Loss, uncompiled
from skipwise.analysis.sites import as_sites
from skipwise.analysis.weights import Weights
from skipwise.diagnosis.cure import Reader
from skipwise.diagnosis.diagnosis import Diagnosis
from skipwise.diagnosis.findings import Findings
from skipwise.diagnosis.finiteness import finiteness
from skipwise.diagnosis.history import History
from skipwise.diagnosis.judging import judged
from skipwise.diagnosis.plan import PLAN, PROBE, Entry, hold, rate_of
from skipwise.diagnosis.subject import LEAST, Pair, Subject, size_of, subject_of

DEEP_SECONDS, SECONDS = 600.0, 60.0
UNREADABLE = (
    RuntimeError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    ArithmeticError,
)
FAILURES = (*UNREADABLE, ValueError)


def examine(
    model: nn.Module,
    batches: Any,
    *,
    updated_on: Any = None,
    loss: Loss | None = None,
    sites: Sites | str | None = None,
    optimiser: Optimizer | Rule | None = None,
    history: History | None = None,
    validation: Any = None,
    start: Weights | None = None,
    full_batch: bool = False,
    reader: Reader = Reader.MODULE,
    deep: bool = False,
    seconds: float | None = None,
    progress: Callable[[str], None] | None = None,
    ask_deep: str = "deep=True",
) -> Diagnosis:
    """Measure a model and judge it by the rules V0 to V13; the model stays exactly as it is.

    Args:
        model: Any module, trained or not, in any mode.
        batches: A pair (inputs, targets), or several of the size that is trained with.
        updated_on: Batches as training sees them, augmented, for steps on a copy; as above if None.
        loss: ``(output, targets) → mean over the batch``; the cross-entropy if None.
        sites: The blocks, or a pattern of their names; found if None.
        optimiser: The one that trains the model, at its rate, or its rule in plain numbers.
        history: What the run has gone through.
        validation: Pairs that take no part in training.
        start: The weights before the first update.
        full_batch: Whether a batch is all the data that is trained on.
        reader: In whose words cures are given.
        deep: Measure curvature, Jacobians and the rest too, which takes minutes.
        seconds: After which no measurement is begun, but named in ``failed``; 60, ``deep`` 600.
        progress: Told the name of each measurement before it is made.
        ask_deep: How a reader asks for ``deep``.

    Raises:
        TypeError: If the model is no module, the optimiser none, or a batch no pair.
        ValueError: If there is no batch, the model cannot read it, the loss is not one number, no
            block fits, ``start`` is of another model, or ``seconds`` is not positive.
    """
    limit, more = _limit(seconds, ask_deep, deep=deep)
    _check(model, optimiser)
    places, why = _places(model := uncompiled(model), sites)
    parts = {"updated_on": updated_on, "validation": validation, "sites": places, "seconds": limit}
    others = {"loss": loss, "optimiser": optimiser, "history": history, "start": start}
    subject = subject_of(model, batches, **parts, **others, full_batch=full_batch)
    found = Findings(failed={"blocks": why} if why else {}, more=more)
    return _examined(subject, found, reader, deep=deep, progress=progress)


def _check(model: Any, optimiser: Any) -> None:
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, got {type(model).__name__}")
    if optimiser is not None and not isinstance(optimiser, Optimizer | Rule):
        raise TypeError(
            "optimiser must be the torch.optim.Optimizer that trains the model, or a Rule in plain"
            f" numbers, got {type(optimiser).__name__}; of a Skipwise strategy it is"
            " strategy.build(model)"
        )


def _limit(seconds: float | None, ask_deep: str, *, deep: bool) -> tuple[float, str]:
    """Give the time there is, and how there is more; no words where it was chosen, or is the most.

    Raises:
        ValueError: If there is none.
    """
    if seconds is None:
        return (DEEP_SECONDS, "") if deep else (SECONDS, f"; {ask_deep} gives {DEEP_SECONDS:.0f}")
    if not seconds > 0:
        raise ValueError(f"seconds must be positive, got {seconds}")
    return seconds, ""


def _examined(
    subject: Subject,
    found: Findings,
    reader: Reader,
    *,
    deep: bool,
    progress: Callable[[str], None] | None,
) -> Diagnosis:
    """Measure what applies, then judge."""
    began = time.perf_counter()
    with untouched(subject.model):
        subject = replace(subject, cost=_first(subject, found))
        _measure(subject, found, _entries(subject, found, deep=deep), began, progress)
    return Diagnosis(
        verdicts=tuple(verdict.told(reader) for verdict in judged(subject, found)),
        measurements=found.measurements,
        facts=_facts(subject, found, time.perf_counter() - began, deep=deep),
        failed=found.failed,
    )


def _places(model: nn.Module, sites: Sites | str | None) -> tuple[Sites | None, str]:
    """Find the blocks; a model without any is measured in all that needs none.

    Raises:
        ValueError: If they were named and are not there.
    """
    try:
        return as_sites(model, sites), ""
    except ValueError as error:
        if sites is not None:
            raise
        return None, str(error)


def _first(subject: Subject, found: Findings) -> float:
    """Look whether all numbers are finite, and give what a pass costs, in seconds an example.

    Raises:
        ValueError: If the model cannot read the batch, or the loss is not one number.
    """
    few = subject.some(LEAST)
    try:
        cost, _ = _finite(subject, few)  # the first pass makes plans and fills caches
        timed = replace(subject, cost=cost)
        pair = subject.some(timed.affordable(PROBE, passes=1))
        cost, found.measurements["finiteness"] = _finite(subject, pair)
    except UNREADABLE as error:
        raise ValueError(
            f"{type(subject.model).__name__} cannot be computed on the first batch:"
            f" {_sentence(error)}; see that inputs and targets are what it was made for"
        ) from error
    return cost


def _finite(subject: Subject, pair: Pair) -> tuple[float, Measurement]:
    began, ran = time.perf_counter(), []
    with untouched(subject.model):
        hold(subject.model, training=True)
        for name in () if subject.sites is None else subject.sites.names:
            subject.model.get_submodule(name).register_forward_hook(lambda *_: ran.append(1))
        measured = finiteness(subject.model, pair, subject.loss)
    if subject.sites is not None and not ran:
        raise ValueError(
            f"the model computes none of the blocks {', '.join(subject.sites.names[:3])}; name the"
            " modules that it calls, those within a container: sites='container.*'"
        )
    return (time.perf_counter() - began) / size_of(pair), measured


def _entries(subject: Subject, found: Findings, *, deep: bool) -> list[Entry]:
    """List what is to be measured: nothing more where numbers are not finite."""
    first = found.measurements["finiteness"]
    if not first.figures["loss is finite"] or any(share > 0 for share in first["bad in weights"]):
        found.failed["all else"] = "numbers are not finite, so no other would mean anything: see V0"
        return []
    return [
        entry
        for entry in PLAN
        if (deep or not entry.deep)
        and (subject.sites is not None or not entry.blocks)
        and entry.applies(subject)
    ]


def _measure(
    subject: Subject,
    found: Findings,
    entries: Iterable[Entry],
    began: float,
    progress: Callable[[str], None] | None,
) -> None:
    """Make one measurement after the other; what cannot be made, or comes too late, is noted."""
    for entry in entries:
        started = time.perf_counter()
        used = started - began
        if used + entry.passes(subject) * subject.cost > subject.seconds:
            spent = f"{used:.0f} s of {subject.seconds:.0f} s were used{found.more}"
            found.failed[entry.name] = f"it was left out, for {spent}"
            continue
        if progress is not None:
            progress(entry.name)
        try:
            with untouched(subject.model):
                found.take(entry.name, entry.measure(subject))
        except FAILURES as error:
            found.failed[entry.name] = _sentence(error)
        found.seconds[entry.name] = time.perf_counter() - started


def _sentence(error: BaseException) -> str:
    """Say what went wrong in one line; torch's own errors are long."""
    said = " ".join(str(error).split("\n")[0].split())
    return said if isinstance(error, ValueError | TypeError) else f"{type(error).__name__}: {said}"


def _facts(subject: Subject, found: Findings, seconds: float, *, deep: bool) -> dict[str, Any]:
    weight = next(subject.model.parameters(), None)
    optimiser = subject.optimiser
    return {
        "model": type(subject.model).__name__,
        "parameters": sum(p.numel() for p in subject.model.parameters()),
        "blocks": () if subject.sites is None else subject.sites.names,
        "trained": subject.trained,
        "examples": sum(map(size_of, subject.batches)),
        "batch": size_of(subject.batches[0]),
        "optimiser": None if optimiser is None else type(optimiser).__name__,
        "rate": None if optimiser is None else rate_of(optimiser),
        "device": "cpu" if weight is None else weight.device.type,
        "deep": deep,
        "seconds": seconds,
        "seconds by measurement": dict(found.seconds),
    }
