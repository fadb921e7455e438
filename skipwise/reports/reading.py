"""A run's folder, read: its journal, its evidence, its description. A run may still be going."""

import json
import math
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from skipwise.files import (
    DIAGNOSIS,
    EVIDENCE,
    EXPERIMENT,
    LOG,
    METRICS,
    METRICS_TABLE,
    STUDY,
    STUDY_PAGE,
)
from skipwise.records import (
    EvaluationRecord,
    Event,
    Evidence,
    MeasureRecord,
    NoteRecord,
    PartEvidence,
    StepRecord,
    evidence_from_text,
    read_journal,
)
from skipwise.reports.words import command_line

DIVERGED = ": training diverged; "  # in what a run that diverged leaves as its state


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What a run left behind until now.

    Args:
        folder: Where it lies.
        events: Its journal.
        evidence: What stands behind its metrics; None of a run of before there was any.
        description: ``experiment.yaml``, as text.
        log: ``log.txt``, as text.
        age: Seconds since the journal was written to.
    """

    folder: Path
    events: tuple[Event, ...]
    evidence: Evidence | None
    description: str
    log: str
    age: float

    @cached_property
    def steps(self) -> tuple[StepRecord, ...]:
        """Every update."""
        return tuple(e for e in self.events if isinstance(e, StepRecord))

    @cached_property
    def validations(self) -> tuple[EvaluationRecord, ...]:
        """Every evaluation of the validation part that gave a finite loss."""
        found = (e for e in self.events if isinstance(e, EvaluationRecord))
        return tuple(
            e for e in found if e.part == "validation" and math.isfinite(e.metrics["loss"])
        )

    @cached_property
    def test(self) -> EvaluationRecord | None:
        """The test score, if there is one."""
        found = (e for e in self.events if isinstance(e, EvaluationRecord) and e.part == "test")
        return next(iter([*found][::-1]), None)

    @cached_property
    def notes(self) -> tuple[NoteRecord, ...]:
        """What was noted on the way."""
        return tuple(e for e in self.events if isinstance(e, NoteRecord))

    def measures(self, name: str) -> tuple[MeasureRecord, ...]:
        """Give the measurements of one kind."""
        return tuple(e for e in self.events if isinstance(e, MeasureRecord) and e.name == name)

    def command(self, verb: str, path: Path, *, alone: bool = False) -> str:
        """Write a command on the run, with the packages it names, by its processes or by one."""
        processes = 1 if alone else self.facts.get("processes", 1)
        return command_line(verb, path, _packages(self.description), processes=processes)

    @cached_property
    def experiment(self) -> Mapping[str, Any]:
        """Give ``experiment.yaml`` in its plain form; empty if it cannot be read."""
        try:
            found = yaml.safe_load(self.description)
        except yaml.YAMLError:
            return {}
        return found if isinstance(found, dict) else {}

    @cached_property
    def diagnosis(self) -> Mapping[str, Any] | None:
        """Give ``diagnosis.json`` if there is one; empty if it cannot be read."""
        path = self.folder / DIAGNOSIS
        if not path.exists():
            return None
        try:
            found = json.loads(_text(path))
            return {"headline": str(found["headline"]), "verdicts": [*map(dict, found["verdicts"])]}
        except (ValueError, KeyError, TypeError):
            return {}

    @cached_property
    def facts(self) -> Mapping[str, Any]:
        """What is known of the run; of an old one, what its description tells."""
        if self.evidence is not None:
            return self.evidence.facts
        return {
            "data": _word(self.experiment.get("data"), "is").rpartition(".")[2] or "its data",
            "network": _word(self.experiment.get("network"), "name") or "the network",
            "strategy": _word(self.experiment.get("strategy"), "name") or "its strategy",
            "seed": self.experiment.get("seed", 0),
        }

    @property
    def title(self) -> str:
        """The network on the data."""
        return f"{self.facts['network']} on {self.facts['data']}"

    @property
    def taken(self) -> int:
        """How many updates were taken."""
        return self.steps[-1].step if self.steps else 0

    @property
    def planned(self) -> int | None:
        """How many there are to be, if that is known."""
        return self.facts.get("steps")

    @property
    def state(self) -> str:
        """Give ``finished``, ``running`` or how it paused or broke off."""
        if self.evidence is not None:
            return self.evidence.state
        done = self.test is not None or (self.folder / METRICS_TABLE).exists()
        return "finished" if done else "running"

    @property
    def has_diverged(self) -> bool:
        """Whether it broke off since it diverged; folders that its state names do not count."""
        return DIVERGED in self.state

    @property
    def diverged_at(self) -> int:
        """The step at which it diverged; one that a guard refused last is in no journal."""
        after = r"(?: after \d+ returns to an earlier state)?"
        found = re.search(rf"at step (\d+){after}{DIVERGED}", self.state)
        return self.taken if found is None else int(found[1])

    @property
    def is_made_in_python(self) -> bool:
        """Whether its data were made in Python, so that no command finds them."""
        return re.search(r"^\s*dataset: null$", self.description, re.MULTILINE) is not None

    @property
    def way_on(self) -> str:
        """What takes the run up again: a command, or a call where only Python has the data."""
        if self.is_made_in_python:
            return f'skipwise.resume("{self.folder}", data=DATA)'
        return self.command("resume", self.folder)

    @property
    def metric(self) -> str:
        """Name what decides which weights are best."""
        if "metric" in self.facts:
            return self.facts["metric"]
        if chosen := self.experiment.get("metric"):
            return str(chosen)
        known = self.validations[-1].metrics if self.validations else self._test_metrics()
        return next((name for name in ("accuracy", "f1") if name in known), "loss")

    @property
    def higher(self) -> bool:
        """Whether more of it is better."""
        return self.facts.get("higher", self.metric not in ("loss", "rmse"))

    @property
    def best(self) -> EvaluationRecord | None:
        """The validation by which the weights were chosen: the best, then of the least loss."""
        sign = 1 if self.higher else -1
        return max(
            self.validations,
            key=lambda e: (sign * e.metrics[self.metric], -e.metrics["loss"], -e.step),
            default=None,
        )

    @property
    def scored(self) -> EvaluationRecord | None:
        """The evaluation that the headline is about: the test, else the best validation."""
        return self.test or self.best

    def classes(self, count: int) -> list[str]:
        """Name the classes; they are numbered where their names are not known."""
        return list(self.facts.get("classes") or map(str, range(count)))

    def behind(self, part: str) -> PartEvidence | None:
        """Give what stands behind the metrics of a part."""
        return None if self.evidence is None else self.evidence.parts.get(part)

    def _test_metrics(self) -> Mapping[str, float]:
        return {} if self.test is None else self.test.metrics


def check_run(folder: Path) -> None:
    """Refuse a folder that is no run.

    Raises:
        ValueError: If it has no experiment; of a study it is said how to come by its page.
    """
    if (folder / EXPERIMENT).is_file():
        return
    if (folder / STUDY).is_file():
        again = command_line("compare", folder, _packages(_text(folder / STUDY)))
        raise ValueError(
            f"{folder} is a study, and its page is {folder / STUDY_PAGE};"
            f" {again} goes on with it and writes that; its runs lie below {folder / 'runs'}"
        )
    raise ValueError(
        f"{folder} is not a run: it has no {EXPERIMENT};"
        " runs lie below runs/ unless --out says otherwise"
    )


def read_run(folder: Path) -> Reading:
    """Read a run's folder.

    Raises:
        ValueError: If it is no run, or its journal or its evidence cannot be read.
    """
    check_run(folder)
    journal, evidence = folder / METRICS, folder / EVIDENCE
    events = tuple(read_journal(journal)) if journal.exists() else ()
    try:
        found = evidence_from_text(_text(evidence)) if evidence.exists() else None
    except ValueError:
        raise ValueError(
            f"{evidence} was changed and is no evidence of a run; give back a copy, or delete it:"
            " the report then lacks what only that file knows"
        ) from None
    return Reading(
        folder=folder,
        events=events,
        evidence=found,
        description=_text(folder / EXPERIMENT),
        log=_text(folder / LOG),
        age=max(time.time() - journal.stat().st_mtime, 0.0) if journal.exists() else 0.0,
    )


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""


def _packages(described: str) -> list[str]:
    """Name the packages that a description names beside ours."""
    named = r"^\s*(?:- )?(?:is|target): ['\"]?(\w+)[\w.]*:"
    return list(dict.fromkeys(re.findall(named, described, re.MULTILINE)))


def _word(plain: Any, key: str) -> str:
    return str(plain.get(key) or plain.get("target") or "") if isinstance(plain, dict) else ""
