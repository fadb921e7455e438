"""Carrying a study out: rehearse, tune, train, compare; from wherever it had got to.

Nothing trains before every arm was built and took a gradient. All that is said at the end follows
from what lies in the folder, so a study may be interrupted anywhere.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from html import escape
from pathlib import Path

from skipwise.comparison import (
    Comparison,
    StudyRecord,
    arms_as_csv,
    as_csv,
    as_html,
    as_json,
    as_latex,
    as_markdown,
    as_text,
    conclusion,
    headline,
    means_sheet,
    runs_as_csv,
    sheets,
    study_to_text,
)
from skipwise.comparison import compare as compare_runs
from skipwise.files import write_atomic
from skipwise.reports import study_report
from skipwise.studies.launchers import (
    FAILED,
    FINISHED,
    STOPPED,
    Launcher,
    Outcome,
    Task,
    mark_of,
)
from skipwise.studies.plan import RUNS, Plan
from skipwise.studies.results import design_of, record_of_study
from skipwise.studies.telling import Progress, Teller, in_time, telling
from skipwise.studies.tuning import (
    Tried,
    cost_in_lengths,
    in_words,
    rounds,
    winners,
    with_settings,
    write_tuning,
)
from skipwise.training import Interrupted, caught_signals, free_memory

RECORD = "record.json"  # all that the comparison is computed from


@dataclass(frozen=True, kw_only=True)
class Conducted:
    """What a study came to; printed, it says so in words, in a notebook with tables.

    Args:
        folder: Where it lies.
        comparison: What the statistics say.
        failed: Sentences on runs that ended without a result.
    """

    folder: Path
    comparison: Comparison
    failed: tuple[str, ...] = field(default=())

    def __str__(self) -> str:
        return f"{as_text(self.comparison)}\nstudy: {self.folder}"

    def _repr_html_(self) -> str:
        return f"{as_html(self.comparison)}<p>study: <code>{escape(str(self.folder))}</code></p>"


def conduct(
    plan: Plan, launcher: Launcher, *, quiet: bool = False, reports: bool = True
) -> Conducted:
    """Carry a study out.

    Args:
        plan: The study, its folder opened.
        launcher: Who does the runs.
        quiet: Say nothing.
        reports: Write the report of every run and that of the study.

    Raises:
        Interrupted: After a signal; all runs are saved.
        ValueError: If an arm cannot be trained, and none was, or a trial of tuning failed.
        OSError: If a run cannot be saved.
    """
    with caught_signals() as signals, telling(quiet=quiet) as teller:
        work = _Work(plan.folder, launcher, signals, teller)
        tried: dict[str, list[Tried]] = {}
        for tasks in rounds(plan, tried):
            if lost := work.do(tasks, title="tuning"):
                raise ValueError(
                    f"{len(lost)} tuning trials failed ({lost[0]}), and an arm with fewer trials"
                    " would be at a disadvantage; the same command tries them again"
                )
        tuned = winners(plan, tried) if plan.study.trials else {}
        if tuned:
            write_tuning(plan.folder, tried, tuned)
            arms = tuple(with_settings(arm, tuned[arm.name].settings) for arm in plan.arms)
            teller.say(in_words(plan, tried, tuned))
            plan = replace(plan, arms=arms)
        tasks = plan.tasks(reports=reports)
        failed = work.do(tasks, title="study")
    design = design_of(plan, jobs=launcher.words, tuned=tuned)
    record = record_of_study(plan, tasks, design, tried, tuned)
    comparison = compare_runs(record)
    _write(plan.folder, record, comparison)
    if reports:
        _report(plan.folder, record)
    return Conducted(folder=plan.folder, comparison=comparison, failed=tuple(failed))


class _Work:
    """How the tasks of one study are done and told of."""

    def __init__(self, folder: Path, launcher: Launcher, signals: Sequence[int], teller: Teller):
        self.folder, self.launcher = folder, launcher
        self.signals, self.teller = signals, teller

    def do(self, tasks: Sequence[Task], *, title: str) -> list[str]:
        """Do those that are not done; give a sentence for each that failed."""
        progress, waiting, failed = Progress(tasks, self.launcher.jobs, title=title), [], []
        for task in tasks:
            mark = mark_of(Path(task.folder), task.until)
            if mark is None:
                waiting.append(task)
            else:
                progress.known(task, mark)
        for task, outcome in self.outcomes(waiting, progress):
            if outcome.state == FAILED:
                failed.append(f"{task.arm}, seed {task.seed}: {outcome.words}")
        return failed

    def outcomes(self, tasks: Sequence[Task], progress: Progress) -> list[tuple[Task, Outcome]]:
        """Do tasks, telling of them, and give how they ended.

        Raises:
            Interrupted: After a signal.
            OSError: If no task can be done, or what is done cannot be saved.
        """
        ended, stopped, final = [], False, None
        for news in self.launcher.launch(tasks, self.signals):
            self.teller.heard(progress, progress.take(news))
            if news.task is not None and news.outcome is not None:
                stopped = stopped or news.outcome.state == STOPPED
                if news.outcome.state in (FINISHED, FAILED):
                    ended.append((news.task, news.outcome))
                if news.outcome.is_final:
                    final = news.outcome.words
                    break
        if final is not None:
            raise OSError(f"the study cannot go on: {final}")
        if self.signals or stopped:
            raise Interrupted(self.signals[0] if self.signals else 2, str(self.folder))
        return ended


def rehearsed(plan: Plan, launcher: Launcher, *, quiet: bool = False) -> Plan:
    """Build every arm and let it take a gradient, so that what cannot train is known before.

    What a run will take in time and memory is said, and kept with the multiplications of each arm.

    Raises:
        Interrupted: After a signal.
        ValueError: If an arm cannot be trained.
    """
    arms = {arm.name: arm for arm in plan.arms}
    tasks = [
        replace(plan.task(arm, arm.run(0), above=RUNS), is_rehearsal=True) for arm in plan.arms
    ]
    free = free_memory() if launcher.is_here else None  # before the workers hold some of it
    if not quiet:
        words = f"{len(tasks)} arms are built and take a gradient, before any is trained"
        print(words, file=sys.stderr, flush=True)
    with caught_signals() as signals:
        work = _Work(plan.folder, launcher, signals, Teller())
        progress = Progress(tasks, launcher.jobs, title="rehearsal")
        found = {task.arm: outcome for task, outcome in work.outcomes(tasks, progress)}
    for name, outcome in found.items():
        if outcome.state == FAILED:
            raise ValueError(f"the arm {name} cannot be trained: {outcome.words}")
    if not quiet:
        outcomes = [found[name] for name in arms]
        lines = _forecast(plan, outcomes, launcher.jobs), memory_warning(outcomes, launcher, free)
        print("\n".join(filter(None, lines)), file=sys.stderr, flush=True)
    return replace(plan, facts={**plan.facts, "macs": {name: found[name].macs for name in arms}})


def _forecast(plan: Plan, outcomes: Sequence[Outcome], jobs: int) -> str:
    """Say how long it will take."""
    study = plan.study
    count, lengths = study.seeds + study.trials, study.seeds + cost_in_lengths(plan)
    steps = sum(o.planned_steps * o.step_seconds for o in outcomes)
    length = study.experiment.seconds
    seconds = (steps if length is None else length * len(outcomes)) * lengths / jobs
    lines = [
        f"{len(outcomes)} arms, each with {study.seeds} seed{'s' * (study.seeds != 1)}"
        + (f" and {study.trials} trials" if study.trials else "")
        + (f", halved to the cost of {cost_in_lengths(plan):.1f} runs" if study.halving else "")
        + f": {len(outcomes) * count} runs, their steps about {in_time(seconds)}"
    ]
    if length is not None and jobs > 1:
        lines.append("runs of equal seconds share the machine: with --jobs 1 they do not wait")
    return "\n".join(lines)


def memory_warning(outcomes: Sequence[Outcome], launcher: Launcher, free: int | None) -> str:
    """Say that this machine's memory is too small for the runs; empty if it is not, or not known.

    Args:
        outcomes: Of the rehearsals.
        launcher: Who does the runs.
        free: Bytes that were free before them, None if that is not known.
    """
    need = max(outcome.memory_bytes for outcome in outcomes)
    if free is None or need * launcher.jobs <= free:
        return ""
    fitting = int(free // need)
    advice = f"take --jobs {fitting}" if fitting else "take a smaller --batch-size"
    words = "1 job needs" if launcher.jobs == 1 else f"{launcher.jobs} jobs need"
    return (
        f"{words} about {need * launcher.jobs / 1e9:.1f} GB of memory, {free / 1e9:.1f} GB are"
        f" free; {advice}, or runs may be killed"
    )


def _report(folder: Path, record: StudyRecord) -> None:
    """Write the page; the study is whole without it."""
    try:
        study_report(record, folder)
    except Exception as error:  # days of training must not end in the page's error
        print(
            f"skipwise: no page was written: {error}; the study is whole, and the same command"
            " writes it",
            file=sys.stderr,
        )


def _write(folder: Path, record: StudyRecord, comparison: Comparison) -> None:
    """Write what the study found, for programs, spreadsheets and papers."""
    tables = sheets(comparison)
    words = "\n\n".join([f"**{headline(comparison)}**", *conclusion(comparison)])
    write_atomic(folder / RECORD, study_to_text(record).encode())
    texts = {
        "comparison.json": as_json(comparison),
        "comparison.csv": as_csv(comparison),
        "comparison.md": "\n".join([f"{words}\n", *map(as_markdown, tables)]),
        "comparison.tex": "\n".join(map(as_latex, (means_sheet(comparison), *tables))),
        "arms.csv": arms_as_csv(comparison),
        "runs.csv": runs_as_csv(record),
    }
    for name, text in texts.items():
        write_atomic(folder / name, text.encode())
