"""Carrying a study out: rehearse, tune, train, compare; from wherever it had got to.

Nothing trains before every arm was built and took a gradient. All that is said at the end follows
from what lies in the folder, so a study may be interrupted anywhere.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from skipwise.comparison import (
    Comparison,
    StudyRecord,
    as_csv,
    as_json,
    as_latex,
    as_markdown,
    conclusion,
    headline,
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
from skipwise.training import Interrupted, caught_signals

RECORD = "record.json"  # all that the comparison is computed from


@dataclass(frozen=True, kw_only=True)
class Conducted:
    """What a study came to.

    Args:
        folder: Where it lies.
        comparison: What the statistics say.
        failed: Sentences on runs that ended without a result.
    """

    folder: Path
    comparison: Comparison
    failed: tuple[str, ...] = field(default=())


def conduct(
    plan: Plan, launcher: Launcher, *, jobs: int = 1, quiet: bool = False, reports: bool = True
) -> Conducted:
    """Carry a study out.

    Args:
        plan: The study, its folder opened.
        launcher: Who does the runs.
        jobs: How many it does at the same time.
        quiet: Say nothing.
        reports: Write the report of every run and that of the study.

    Raises:
        Interrupted: After a signal; all runs are saved.
        ValueError: If an arm cannot be trained; no arm was.
        OSError: If a run cannot be saved.
    """
    with caught_signals() as signals, telling(quiet=quiet) as teller:
        work = _Work(plan.folder, launcher, jobs, signals, teller)
        tried: dict[str, list[Tried]] = {}
        for tasks in rounds(plan, tried):
            work.do(tasks, title="tuning")
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

    def __init__(
        self,
        folder: Path,
        launcher: Launcher,
        jobs: int,
        signals: Sequence[int],
        teller: Teller,
    ):
        self.folder, self.launcher, self.jobs = folder, launcher, jobs
        self.signals, self.teller = signals, teller

    def do(self, tasks: Sequence[Task], *, title: str) -> list[str]:
        """Do those that are not done; give a sentence for each that failed.

        Raises:
            OSError: If what is done cannot be saved.
        """
        progress, waiting, failed = Progress(tasks, jobs=self.jobs, title=title), [], []
        for task in tasks:
            mark = mark_of(Path(task.folder), task.until)
            if mark is None:
                waiting.append(task)
            else:
                progress.known(task, mark)
        for task, outcome in self.outcomes(waiting, progress):
            if outcome.is_final:
                raise OSError(f"the study cannot go on: {outcome.words}")
            if outcome.state == FAILED:
                failed.append(f"{task.arm}, seed {task.seed}: {outcome.words}")
        return failed

    def outcomes(self, tasks: Sequence[Task], progress: Progress) -> list[tuple[Task, Outcome]]:
        """Do tasks, telling of them, and give how they ended.

        Raises:
            Interrupted: After a signal.
        """
        ended, stopped = [], False
        for news in self.launcher.launch(tasks, self.signals):
            self.teller.heard(progress, progress.take(news))
            if news.task is not None and news.outcome is not None:
                stopped = stopped or news.outcome.state == STOPPED
                if news.outcome.state in (FINISHED, FAILED):
                    ended.append((news.task, news.outcome))
                if news.outcome.is_final:
                    break
        if self.signals or stopped:
            raise Interrupted(self.signals[0] if self.signals else 2, str(self.folder))
        return ended


def rehearsed(plan: Plan, launcher: Launcher, *, jobs: int = 1, quiet: bool = False) -> Plan:
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
    with caught_signals() as signals:
        work = _Work(plan.folder, launcher, jobs, signals, Teller())
        progress = Progress(tasks, jobs=jobs, title="rehearsal")
        found = {task.arm: outcome for task, outcome in work.outcomes(tasks, progress)}
    for name, outcome in found.items():
        if outcome.state == FAILED:
            raise ValueError(f"the arm {name} cannot be trained: {outcome.words}")
    if not quiet:
        print(_forecast(plan, [found[name] for name in arms], jobs), file=sys.stderr, flush=True)
    return replace(plan, facts={**plan.facts, "macs": {name: found[name].macs for name in arms}})


def _forecast(plan: Plan, outcomes: Sequence[Outcome], jobs: int) -> str:
    """Say how long it will take, and whether the memory is enough."""
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
    need, free = max(o.memory_bytes for o in outcomes), free_memory()
    if jobs > 1 and free is not None and need * jobs > free:
        lines.append(
            f"{jobs} jobs need about {need * jobs / 1e9:.1f} GB of memory, {free / 1e9:.1f} GB are"
            f" free; take --jobs {max(int(free // need), 1)}, or runs may be killed"
        )
    return "\n".join(lines)


def free_memory() -> int | None:
    """Give the bytes of memory that are free, None where the system does not tell."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    found = next((line for line in lines if line.startswith("MemAvailable:")), None)
    return None if found is None else 1024 * int(found.split()[1])


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
        "json": as_json(comparison),
        "csv": as_csv(comparison),
        "md": "\n".join([f"{words}\n", *map(as_markdown, tables)]),
        "tex": "\n".join(map(as_latex, tables)),
    }
    for suffix, text in texts.items():
        write_atomic(folder / f"comparison.{suffix}", text.encode())
