"""``skipwise.diagnose``: examine whatever the user has."""

import platform
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import nn

from skipwise.data import described
from skipwise.description import Call, nearest
from skipwise.diagnosing.leaving import leave_diagnosis
from skipwise.diagnosing.networks import patient_of_network
from skipwise.diagnosing.patient import Patient
from skipwise.diagnosing.runs import patient_of_run
from skipwise.diagnosis import Diagnosis
from skipwise.files import check_folder
from skipwise.networks import NetworkDescription
from skipwise.records import RunRecord, place_of
from skipwise.strategies import Strategy

OF_MODEL = ("loss", "optimiser", "history", "validation", "start", "full_batch")
VERSIONS = {
    "skipwise": version("skipwise"),
    "torch": torch.__version__,
    "python": platform.python_version(),
}


def diagnose(
    what: Any,
    batches: Any = None,
    *,
    data: Any = None,
    strategy: Strategy | None = None,
    out: str | Path | None = None,
    allow: Iterable[str] = (),
    sites: str | None = None,
    deep: bool = False,
    seconds: float | None = None,
    progress: Callable[[str], None] | None = None,
    command: str = "",
    **of_model: Any,
) -> Diagnosis:
    """Measure a run or a network, and say what is wrong with it; the form of ``skipwise diagnose``.

    Args:
        what: A run's folder or record (finished, running, or broken off); a network's description,
            or ``"package.module:function"`` that makes one, with ``data``; or a module of your own,
            with ``batches``.
        batches: Of a module: a pair (inputs, targets), or several of the size it is trained with.
        data: Of a network that is not trained yet: a word as on the command line, a description, or
            a map-style data set, or arrays. Of a run only if its data were made in Python.
        strategy: How a network is to be trained; chosen by the task if None.
        out: Where ``diagnosis.json`` and the page go; the run's folder if None, and nothing is
            written for what is no run.
        allow: Packages outside ``skipwise`` that a run's description may name.
        sites: The blocks, by a pattern of their names, ``"layer*.*"``; found if None.
        deep: Measure all there is, Hessian and Jacobian too.
        seconds: The time there is: a minute, or ten if ``deep``. What is left out then is said.
        progress: Told the name of each measurement before it is made.
        command: What repeats it, for a reader of the page.
        **of_model: Of a module: ``loss``, ``optimiser``, ``history``, ``validation``, ``start`` and
            ``full_batch`` of :func:`skipwise.diagnosis.examine`.

    Raises:
        TypeError: If ``what`` is none of these, or something has no effect on it.
        ValueError: If it cannot be read, built, or measured, or ``out`` cannot be written.
    """
    how = {"sites": sites, "deep": deep, "seconds": seconds, "progress": progress}
    with _patient(
        what, batches, data=data, strategy=strategy, allow=allow, of_model=of_model
    ) as patient:
        folder = patient.folder if out is None else Path(out)
        check_folder(folder, "diagnosis")
        found = patient.examined(**how, ask_deep="--deep" if command else "deep=True")
    found = replace(found, facts={**found.facts, "command": command, "versions": VERSIONS})
    leave_diagnosis(found, folder)
    return found


@contextmanager
def _patient(
    what: Any,
    batches: Any,
    *,
    data: Any,
    strategy: Strategy | None,
    allow: Iterable[str],
    of_model: dict[str, Any],
) -> Iterator[Patient]:
    """Find out what was given, and refuse what has no effect on it.

    Raises:
        TypeError: If it is nothing that can be examined, or something has no effect on it.
        ValueError: If the data of a network are missing.
    """
    if stray := next((name for name in of_model if name not in OF_MODEL), None):
        raise TypeError(f"diagnose has no setting {stray!r}{nearest(stray, OF_MODEL)}")
    if isinstance(what, nn.Module):
        _refuse("a module", data=data, strategy=strategy)
        if batches is None:
            raise TypeError("a module needs batches to be measured on: diagnose(model, batches)")
        yield Patient(name=type(what).__name__, model=what, batches=batches, **of_model)
        return
    _refuse("what is no module", batches=batches, **of_model)
    network = Call(target=what) if isinstance(what, str) and ":" in what else what
    if isinstance(network, NetworkDescription | Call):
        if data is None:
            raise ValueError("say what data the network is for: data='digits' for example")
        with patient_of_network(network, data, strategy, allow=allow) as patient:
            yield patient
    elif isinstance(what, str | Path | RunRecord):
        _refuse("a run", strategy=strategy)
        with patient_of_run(
            place_of(what), allow=allow, data=None if data is None else described(data)
        ) as patient:
            yield patient
    else:
        raise TypeError(
            "diagnose takes a run's folder, a network's description, a function"
            f" 'package.module:function' or a module, got {type(what).__name__}"
        )


def _refuse(what: str, **given: Any) -> None:
    stray = next((name for name, value in given.items() if value is not None), None)
    if stray is not None:
        raise TypeError(f"{stray} has no effect on {what}; leave it out")
