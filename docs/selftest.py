"""Write docs/selftest.md: of planted faults how many are found, of healthy twins how many accused.

``python -m docs.selftest 0 10`` tries seeds 0 to 9 of every case, adds the trials to
``selftest.jsonl`` where it is called, and writes the table of all trials in that file, so that many
seeds can be measured in pieces; ``python -m docs.selftest`` writes the table alone.
"""

import json
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

from skipwise.selftest import (
    CASES,
    DESIGNS,
    Case,
    Design,
    SelftestRecord,
    Trial,
    choose,
    facts,
    trials,
)

FILE = Path(__file__).with_suffix(".md")
KEPT = Path("selftest.jsonl")
INTRODUCTION = """# Are planted faults found, and healthy networks left alone

Written by `python -m docs.selftest`; do not edit it by hand. `skipwise selftest` does the same with
one seed on your machine. Every fault has a twin from the same seed that differs in one thing; the
other networks are healthy and look faulty to a careless rule. *Found* is a FAIL of the rule that
the fault is for, or a WARN of a rule marked ° that never gives more; *accused* is a twin or healthy
network with a FAIL of any rule, *warned* one with a WARN and no FAIL.
"""


def try_seeds(seeds: Sequence[int]) -> None:
    """Try the seeds that are not yet in the file, and add each trial to it as it is made."""
    done = {(trial.case, trial.seed) for trial in kept()}
    for case in choose():
        left = [seed for seed in seeds if (case.name, seed) not in done]
        for trial in trials(seeds=left, cases=[case.name]) if left else ():
            with KEPT.open("a") as lines:
                lines.write(json.dumps(asdict(trial)) + "\n")


def kept() -> list[Trial]:
    """Read the trials of the file."""
    if not KEPT.is_file():
        return []
    plain = (json.loads(line) for line in KEPT.read_text().splitlines())
    return [Trial(**{**each, "measured": tuple(each["measured"])}) for each in plain]


def document(record: SelftestRecord) -> str:
    """Write the whole file."""
    seeds = sorted({trial.seed for trial in record.trials})
    versions = ", ".join(f"{name} {value}" for name, value in facts().items())
    head = f"**{record.counts().capitalize()}**, over {len(seeds)} seeds ({versions}).\n"
    parts = [INTRODUCTION, head, *_table(record), "", *_exceptions(record), "", *_catalogue()]
    return "\n".join(parts) + "\n"


def _table(record: SelftestRecord) -> Iterable[str]:
    yield "| case | rule | found / planted | accused / shown | warned, by rule | seconds a seed |"
    yield "|---|---|---:|---:|---|---:|"
    for case in (*CASES, *DESIGNS):
        yield _row(case, record.of(case.name))


def _row(case: Case | Design, record: SelftestRecord) -> str:
    shown = len(record.trials)
    rule, found = "", ""
    if isinstance(case, Case):
        rule = case.rule if case.least == "FAIL" else f"{case.rule}°"
        found = f"{record.found} / {len(record.planted)}"
    by_rule = Counter(rule for trial in record.trials for rule in trial.warned)
    warned = ", ".join(f"{name}: {count}" for name, count in sorted(by_rule.items()))
    seconds = sum(trial.seconds for trial in record.trials) / max(shown, 1)
    return (
        f"| {case.name} | {rule} | {found} | {record.accused} / {shown}"
        f" | {record.warned}{f' ({warned})' if warned else ''} | {seconds:.1f} |"
    )


def _exceptions(record: SelftestRecord) -> Iterable[str]:
    """Say what was missed and who was accused, seed by seed."""
    yield "## Missed, accused, stopped\n"
    lines = [
        f"* `{trial.case}`, seed {trial.seed}: {said}"
        for trial in record.trials
        for said in _said(trial)
    ]
    yield from lines or ["Nothing."]


def _said(trial: Trial) -> Iterable[str]:
    if trial.broken:
        yield f"stopped: {trial.broken}"
    elif trial.found is False:
        yield f"missed, {trial.rule} is {trial.level}: {trial.says}"
    for rule, why in trial.accused.items():
        yield f"its healthy network is accused by {rule}: {why}"


def _catalogue() -> Iterable[str]:
    yield "## The planted faults\n"
    for case in CASES:
        yield f"* **{case.name}** ({case.rule}), {case.difference}: {case.theory}."
    yield "\n## The healthy networks\n"
    for design in DESIGNS:
        yield f"* **{design.name}**: {design.lure}."


if __name__ == "__main__":
    if len(sys.argv) == 3:
        try_seeds(range(int(sys.argv[1]), int(sys.argv[2])))
    FILE.write_text(document(SelftestRecord(trials=tuple(kept()))))
