"""Runs and their folders: begin one, go on with one, read what one left behind."""

import dataclasses
import math
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from skipwise.data import Data, Dataset, check_readable, described
from skipwise.description import by_path, read_described, replace_all
from skipwise.experiment import Experiment, checked, compose, extended, nearest_setting
from skipwise.files import EXPERIMENT, LOCK, METRICS, Hold, check_folder, free_folder, naming
from skipwise.finetuning import check_freeze
from skipwise.progress import Listener, check_listener, tell_refused
from skipwise.progress import watch as follow
from skipwise.records import (
    EvaluationRecord,
    NoteRecord,
    RunRecord,
    StepRecord,
    place_of,
    read_journal,
)
from skipwise.reports import check_run, command_line, report, summary
from skipwise.session import Session
from skipwise.strategies import check_change
from skipwise.training import attempt, job, join, newest_checkpoint
from skipwise.weights import BEST

JOB = ".job"  # which job of torchrun began the run


def begin(
    experiment: Experiment, dataset: Dataset, folder: Path | None = None, **options: Any
) -> Session:
    """Start a new run, in ``folder`` or in the next free one below ``runs``.

    Processes that torchrun has started anew go on with the run that they began before.

    Raises:
        ValueError: If the folder holds something already, a held-out picture cannot be read,
            parts of a network that begins anew are to be frozen, or a step does not fit into
            memory.
    """
    world = join()
    check_freeze(experiment.freeze, experiment.weights)
    ours = _begun_by_this_job(folder) if world.is_first else None
    if ours is not None:
        found = ours, newest_checkpoint(ours)[0]
    elif folder is not None:
        found = _empty(folder) if world.is_first else folder, None
    else:
        kinds = experiment.data, experiment.network, experiment.strategy
        stem = "-".join(kind.name for kind in kinds)
        found = free_folder(Path("runs"), stem) if world.is_first else Path(), None
    place, state = world.broadcast(found)
    was_there = place.exists() and folder is not None
    hold = Hold(place if world.is_first else None)
    try:
        if world.is_first and folder is not None and ours is None:
            _empty(folder)  # another process may have begun, and ended, meanwhile
        if world.is_first and job():
            (place / JOB).write_text(job())
        if state is None:  # else a file that is cut short would show when all is trained
            check_readable((dataset.validation, dataset.test), world.rank, world.size)
        return Session(experiment, dataset, place, state, hold=hold, **options)
    except BaseException:
        hold.close()
        if world.is_first and ours is None:
            (place / JOB).unlink(missing_ok=True)
            if not was_there:
                _take_away(place)
        raise


def check_free(folder: Path | None) -> None:
    """Refuse a folder that :func:`begin` would refuse.

    Raises:
        ValueError: If it holds something, and no run that these processes began before.
    """
    if folder is not None and _begun_by_this_job(folder) is None:
        _empty(folder)


def _empty(folder: Path) -> Path:
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file; name a folder with --out, a new or an empty one")
    begun = {LOCK, JOB}  # all that one leaves which was killed before its first save
    if folder.exists() and any(path.name not in begun for path in folder.iterdir()):
        raise ValueError(
            f"{folder} is not empty; resume the run in it, or name another folder with --out"
        )
    check_folder(folder, "run")
    return folder


def _begun_by_this_job(folder: Path | None) -> Path | None:
    """Find the run that these processes began before torchrun started them anew."""
    if not attempt() or not job():
        return None
    marks = Path("runs").glob(f"*/{JOB}") if folder is None else [folder / JOB]
    return next((m.parent for m in marks if m.is_file() and m.read_text() == job()), None)


def _take_away(folder: Path) -> None:
    """Leave no empty folder of what never began."""
    with suppress(OSError):
        folder.rmdir()
        folder.parent.rmdir()


def go_on(
    folder: Path,
    *,
    allow: Iterable[str] = (),
    data: Data | None = None,
    settings: Mapping[str, Any] | None = None,
    started: float | None = None,
    watch: str | None = None,
    **length: Any,
) -> tuple[Session, tuple[str, ...]]:
    """Take up a run from its last good save, with another length if one is given.

    Args:
        folder: The run's folder.
        allow: Packages outside ``skipwise`` that its description may name.
        data: Its data, if they were made in Python.
        settings: Values by path, ``{"strategy.peak_lr": 0.01}``, of what a run that has begun may
            change.
        started: See :class:`Session`.
        watch: Likewise.
        **length: ``epochs``, ``steps`` or ``seconds``.

    Returns:
        The session, and what was refused on the way to it.

    Raises:
        ValueError: If it is no run, its saves are damaged, or it has taken more already.
    """
    world = join()
    experiment = experiment_of(folder, allow=allow)
    hold = Hold(folder if world.is_first else None)
    with ExitStack() as until_taken_up, naming(folder):
        until_taken_up.callback(hold.close)
        state, refused = world.broadcast(
            newest_checkpoint(folder) if world.is_first else (None, ())
        )
        _check_saved(folder, state)
        planned = _with_settings(extended(experiment, **length), settings or {})
        given = planned if data is None else dataclasses.replace(planned, data=data)
        dataset = given.data.load()
        saved = state["run"] if state else {"step": 0}  # killed before its first save: begin again
        kind = _change(experiment, planned)
        if kind == "length" and state is not None:
            _check_more(folder, state, given, examples=len(dataset.train))
        if planned.strategy.peak_lr != experiment.strategy.peak_lr:
            _forgive(saved)
        options: dict[str, Any] = {"change": kind, "started": started, "watch": watch, "hold": hold}
        session = Session(given, dataset, folder, state, **options)
        until_taken_up.pop_all()
    return session, refused


LENGTH, END = ("epochs", "steps", "seconds"), ("patience", "target", "doublings")
CHANGEABLE = ("strategy", *END, "precision", "compile", "save_seconds")
RESUMED = (*LENGTH, "set", "data", "allow", "watch", "report", "quiet", "on_event")


def _with_settings(experiment: Experiment, settings: Mapping[str, Any]) -> Experiment:
    """Give a run that has begun other settings.

    Raises:
        ValueError: If it would be another run with them.
    """
    for path in settings:
        if path.partition(".")[0] not in CHANGEABLE:
            raise ValueError(
                f"a run that has begun can change {', '.join(CHANGEABLE)}; {path!r} would make it"
                " another run, so train anew with it"
            )
    changed = replace_all(experiment, settings)
    check_change(experiment.strategy, changed.strategy)
    return changed


def _check_more(folder: Path, state: dict[str, Any], given: Experiment, *, examples: int) -> None:
    what, taken, asked = "steps", state["run"]["step"], given.planned_steps(examples)
    if given.seconds is not None:
        spent = (state["budget"] or {"spent": state["seconds"]})["spent"]
        what, taken, asked = "seconds", spent, given.seconds
    if asked < taken:
        raise ValueError(
            f"{folder} has taken {math.ceil(taken)} {what} already, more than the {asked:g} asked"
            " for; ask for more"
        )


def _check_saved(folder: Path, state: dict[str, Any] | None) -> None:
    journal = folder / METRICS
    began = (folder / BEST).exists() or (journal.exists() and journal.stat().st_size > 0)
    if state is None and began:
        raise ValueError(
            f"{folder} has a history but no checkpoint, so going on would begin anew over it;"
            " give back last.ckpt, or train experiment.yaml in another folder"
        )


def _change(before: Experiment, after: Experiment) -> str:
    for kind, names in (("length", LENGTH), ("end", END)):
        if any(getattr(before, name) != getattr(after, name) for name in names):
            return kind
    return "" if before == after else "setting"


def _forgive(run: dict[str, Any]) -> None:
    """Forget that a guard lowered the rate, since another was set."""
    run["rate_scale"] = 1.0
    if "guard" in run:
        run["guard"]["returns"] = 0


class Trained(RunRecord):
    """The record of a run that this program trained; in a notebook it shows itself."""

    def _repr_html_(self) -> str | None:
        try:
            return summary(Path(self.path))
        except (ValueError, OSError):  # the folder is gone; the plain form is shown
            return None


@contextmanager
def reported(folder: Path, *, wanted: bool = True) -> Iterator[None]:
    """Write a run's report when it ends, however it ends; the run is whole without it.

    Args:
        folder: The run's folder.
        wanted: Whether to.

    Raises:
        BaseException: What ended the run.
    """
    try:
        yield
    except BaseException:
        with suppress(Exception):  # what ended the run is what its reader must hear of
            _ = report(folder) if wanted else None
        raise
    if not wanted:
        return
    try:
        report(folder)
    except (Exception, KeyboardInterrupt) as error:
        # Hours of training must not end in the report's error.
        what = error.strerror if isinstance(error, OSError) else str(error) or "it was stopped"
        print(
            f"skipwise: no report was written: {what}; the run is whole,"
            f" {command_line('report', folder)} writes it",
            file=sys.stderr,
        )


def record_of(session: Session) -> Trained:
    """Give what a session left behind in its folder."""
    record = _read(session) if session.world.is_first else None
    record = session.world.broadcast(record)
    assert record is not None
    return record


def _read(session: Session) -> Trained:
    experiment, run = session.experiment, session.run
    events = list(read_journal(session.folder / METRICS))
    validated = {
        e.step: e for e in events if isinstance(e, EvaluationRecord) and e.part == "validation"
    }
    tests = [e for e in events if isinstance(e, EvaluationRecord) and e.part == "test"]
    steps = [e for e in events if isinstance(e, StepRecord)]
    notes = [e for e in events if isinstance(e, NoteRecord)]
    return Trained(
        path=str(session.folder),
        data=experiment.data.name,
        network=experiment.network.name,
        strategy=experiment.strategy.name,
        seed=experiment.seed,
        step=run.step,
        steps=run.steps,
        train_seconds=round(session.elapsed, 3),
        validation=validated.get(session.best.step),
        test=tests[-1] if tests else None,
        notes=tuple(note.text for note in notes),
        clipped=sum(step.clipped for step in steps),
        skipped=sum(step.skipped for step in steps),
        rolled_back=sum(note.returned for note in notes),
    )


def experiment_of(folder: Path, *, allow: Iterable[str] = ()) -> Experiment:
    """Read the experiment of a run's folder.

    Raises:
        ValueError: If the folder is no run, or what it describes cannot be read.
    """
    check_run(folder)
    return read_described(folder / EXPERIMENT, Experiment, allow=allow)


def train(
    data: Any,
    network: Any = None,
    strategy: Any = None,
    *,
    out: str | None = None,
    watch: str | None = None,
    report: bool = True,
    quiet: bool = False,
    on_event: Listener | None = None,
    **settings: Any,
) -> Trained:
    """Train a network and give the record of the run; the Python form of ``skipwise train``.

    Args:
        data: A description, a word as on the command line, arrays ``(x, y)``, or a map-style data
            set of your own, or parts of these by name, see :class:`skipwise.data.Own`; or a whole
            :class:`skipwise.Experiment`, a recipe's for example, or the path of an
            ``experiment.yaml``, which all else changes.
        network: A description, or a function that makes a module; chosen by the data if None.
        strategy: How; chosen by the task if None.
        out: The run's folder; the next free one below ``runs`` if None.
        watch: Monitors, ``"gradients,curvature:every=500"``; the weights stay the same.
        report: Write ``report.html`` at the end.
        quiet: Show no progress.
        on_event: Called, in the first process, with each ``Step`` (whose tensors are on the device)
            and then ``StepRecord``, ``EvaluationRecord`` and ``NoteRecord`` of
            ``skipwise.records``; what it raises ends the run, as last saved.
        **settings: Other fields of :class:`skipwise.Experiment`, ``epochs`` for example.
    """
    check_listener(on_event)
    experiment, dataset = compose(data, network, strategy, **settings)
    session = begin(experiment, dataset, None if out is None else Path(out), watch=watch)
    with reported(session.folder, wanted=report and session.world.is_first):
        follow(session, quiet=quiet, on_event=on_event)
    return record_of(session)


def resume(
    run: str | RunRecord,
    *,
    data: Any = None,
    allow: Iterable[str] = (),
    epochs: float | None = None,
    steps: int | None = None,
    seconds: float | None = None,
    set: Mapping[str, Any] | None = None,
    watch: str | None = None,
    report: bool = True,
    quiet: bool = False,
    on_event: Listener | None = None,
    **unknown: Any,
) -> Trained:
    """Take up a run and bring it to its end; the Python form of ``skipwise resume``.

    Args:
        run: The folder, or the record that :func:`train` gave.
        data: The data set, if it was made in Python.
        allow: Packages outside ``skipwise`` that its description may name.
        epochs: Its new length in passes over the training part, all in all.
        steps: Likewise in updates.
        seconds: Likewise in time.
        set: Values by path, as ``--set``: ``{"strategy.peak_lr": 0.01}`` after one that diverged.
        watch: Monitors from here on; None keeps those that it has, ``""`` ends them.
        report: Write ``report.html`` at the end.
        quiet: Show no progress.
        on_event: As of :func:`train`.
        **unknown: Refused.

    Raises:
        TypeError: If there is no such setting; the nearest is named.
    """
    if unknown:
        name, value = next(iter(unknown.items()))
        if name in CHANGEABLE:
            raise TypeError(f"resume takes {name} as a setting: set={{{name!r}: {value!r}}}")
        raise TypeError(f"resume has no setting {name!r}{nearest_setting(name, RESUMED)}")
    length = checked({"epochs": epochs, "steps": steps, "seconds": seconds})
    check_listener(on_event)
    folder, settings = place_of(run), by_path("set", set)
    source = None if data is None else described(data)
    session, refused = go_on(
        folder, allow=allow, data=source, settings=settings, watch=watch, **length
    )
    tell_refused(session, refused)
    with reported(session.folder, wanted=report and session.world.is_first):
        follow(session, quiet=quiet, on_event=on_event)
    return record_of(session)
