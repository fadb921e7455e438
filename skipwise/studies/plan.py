"""A study in its folder: what is settled before it trains, and the runs that follow from it.

Each run's folder is named by the digest of its description, the data's hash and the version, so
that a study goes on where it stopped and trains nothing twice.
"""

import hashlib
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from skipwise.data import Dataset
from skipwise.description import read_yaml
from skipwise.experiment import Experiment, settled, task_of
from skipwise.files import STUDY, check_folder, drafts_of, write_atomic
from skipwise.studies.arms import Arm, arms_of, family_of
from skipwise.studies.launchers import Task
from skipwise.studies.settled import check_same, surroundings
from skipwise.studies.study import Study, text_of
from skipwise.training import Target

PLAN, RUNS = "plan.json", "runs"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All that is settled before a study trains.

    Args:
        study: Its description.
        folder: Where it lies.
        arms: Its arms; after tuning with the values that were found.
        family: The pairs that get a verdict.
        digest: Of the data.
        facts: What ``plan.json`` holds: hashes of data, parts, code and files of weights, versions,
            device, threads.
        metric: What the score is called.
        higher: Whether a high one is good.
    """

    study: Study
    folder: Path
    arms: tuple[Arm, ...]
    family: tuple[tuple[str, str], ...]
    digest: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    metric: str = "accuracy"
    higher: bool = True

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds of the runs."""
        return tuple(range(self.study.seeds))

    def tasks(self, *, reports: bool = True) -> list[Task]:
        """Give the runs in the order in which they begin: seed by seed, every other one backwards.

        So pairs are complete early, and no arm is always the one that runs on a warm machine.
        """
        tasks = []
        for seed in self.seeds:
            for arm in self.arms if seed % 2 == 0 else reversed(self.arms):
                tasks.append(self.task(arm, arm.run(seed), above=RUNS, reports=reports))
        return tasks

    def task(self, arm: Arm, experiment: Experiment, *, above: str, reports: bool = True) -> Task:
        """Give the task of one run of an arm, in a folder of its own."""
        text = text_of(experiment)
        # A field that came later leaves the folders of older studies as they are called.
        known = re.sub(r"\n *(metric: null|loss: cross-entropy)(?=\n)", "", text)
        marks = "\n".join((known, self.digest, str(self.facts["version"])))
        digest = hashlib.sha256(marks.encode()).hexdigest()[:10]
        stem = re.sub(r"[^A-Za-z0-9_.=-]+", "-", arm.name).strip("-.")[:80]
        return Task(
            arm=arm.name,
            seed=experiment.seed,
            experiment=text,
            folder=str(self.folder.absolute() / above / f"{stem}-seed-{experiment.seed}-{digest}"),
            digest=self.digest,
            allow=self.study.packages,
            reports=reports,
        )


def planned(
    study: Study, dataset: Dataset, folder: Path, *, threads: int, on_cluster: bool = False
) -> Plan:
    """Settle a study: its arms, its family, its data.

    Args:
        study: The description.
        dataset: Its data, loaded.
        folder: Where it is to lie; nothing is written.
        threads: That each run computes with, as their number decides the order of sums.
        on_cluster: Whether other machines compute.

    Raises:
        ValueError: If arms, baseline or family do not fit, or runs would have no score.
    """
    arms = tuple(_settled(arm, study, dataset) for arm in arms_of(study))
    if len(arms) < 2:
        only = " ".join(arm.name for arm in arms)
        raise ValueError(
            f"there is one arm only, {only!r}; give a second --network or"
            " --strategy, or --vary path=v1,v2"
        )
    family = family_of(study, arms)
    task, *_ = [task_of(dataset, arm.experiment) for arm in arms]
    if dataset.test is None and dataset.validation is None:
        raise ValueError(f"{dataset.name} has neither a test nor a validation part to compare on")
    if study.trials and dataset.validation is None:
        raise ValueError(f"{dataset.name} has no validation part to tune on; set --tune 0")
    if study.target is not None and dataset.validation is None:
        raise ValueError(f"{dataset.name} has no validation part on which a target is reached")
    if study.target is not None:
        Target(value=study.target, higher=task.higher)  # refuses what no network reaches
    facts = {
        **surroundings(study, dataset, _files(arms), on_cluster=on_cluster),
        "threads": threads,
        "arms": [arm.name for arm in arms],
        "family": [list(pair) for pair in family],
        "earlier_seeds": [],
        "study": read_yaml(text_of(study), "the study"),
    }
    return Plan(
        study=study,
        folder=folder,
        arms=arms,
        family=family,
        digest=dataset.digest,
        facts=facts,
        metric=task.best_metric,
        higher=task.higher,
    )


def _settled(arm: Arm, study: Study, dataset: Dataset) -> Arm:
    """Settle what follows from a file of weights that is varied, or of which nobody did."""
    run = arm.experiment
    if run.preprocessing is not None and run.weights == study.experiment.weights:
        return arm
    return replace(arm, experiment=settled(run, dataset, run.network, allow=study.packages))


def _files(arms: tuple[Arm, ...]) -> set[str]:
    return {arm.experiment.weights for arm in arms if arm.experiment.weights is not None}


def opened(plan: Plan) -> Plan:
    """Open the study's folder: write what is settled, or check that it is the same and go on.

    A study may get more seeds; that its results had been seen before is then kept in mind.

    Raises:
        ValueError: If the folder holds something else, or another study, or the data changed.
    """
    folder = plan.folder
    if not (folder / STUDY).exists():
        check_free(folder)
        folder.mkdir(parents=True, exist_ok=True)
        facts = {**plan.facts, "begun": time.strftime("%Y-%m-%d %H:%M:%S")}
        plan = replace(plan, facts=facts)
        _write(plan)
        return plan
    return _taken_up(plan)


def check_free(folder: Path) -> None:
    """Ask that nothing lie in a folder but what a study leaves that is killed while it begins.

    Raises:
        ValueError: If something does, or the folder may not be written.
    """
    ours = {folder / PLAN, *drafts_of(folder / PLAN), *drafts_of(folder / STUDY)}
    if folder.exists() and not (folder.is_dir() and ours.issuperset(folder.iterdir())):
        raise ValueError(f"{folder} is not empty and no study; name another folder with --out")
    check_folder(folder, "study")


def _taken_up(plan: Plan) -> Plan:
    folder = plan.folder
    before = _described_in(folder)
    facts = facts_of(folder)
    wanted = plan.facts["study"]
    # A study.yaml that was edited since does not decide what was settled before training.
    settled = _with_later_fields(facts.get("study", before))
    if settled != wanted:
        seeds = settled.get("seeds") if isinstance(settled, dict) else None
        is_longer = isinstance(seeds, int) and plan.study.seeds > seeds
        if not is_longer or {**settled, "seeds": plan.study.seeds} != wanted:
            where, old, new = _first_difference(settled, wanted)
            raise ValueError(
                f"{folder} is the folder of another study: {where} is {old} there and {new} here;"
                " name another folder with --out"
            )
        facts["earlier_seeds"] = [*facts.get("earlier_seeds", []), seeds]
    check_same(folder, facts, plan.facts)
    plan = replace(plan, facts={**facts, "study": wanted})
    if (before, settled) != (wanted, wanted):
        _write(plan)
    return plan


def _described_in(folder: Path) -> Any:
    plain = read_yaml((folder / STUDY).read_text(encoding="utf-8"), str(folder / STUDY))
    return _with_later_fields(plain)


def _with_later_fields(plain: Any) -> Any:
    """Give a plain description in which fields that came later have their defaults."""
    if not isinstance(plain, dict):
        return plain
    plain, experiment = {"halving": False, **plain}, plain.get("experiment")
    if isinstance(experiment, dict):
        strategy = _with_loss(experiment.get("strategy"))
        plain["experiment"] = {"metric": None, **experiment, "strategy": strategy}
    if isinstance(strategies := plain.get("strategies"), list):
        plain["strategies"] = [_with_loss(strategy) for strategy in strategies]
    return plain


def _with_loss(strategy: Any) -> Any:
    return {"loss": "cross-entropy", **strategy} if isinstance(strategy, dict) else strategy


def _first_difference(before: Any, now: Any, path: str = "") -> tuple[str, str, str]:
    """Say where two plain descriptions differ first, and how."""
    if isinstance(before, dict) and isinstance(now, dict):
        for name in dict.fromkeys([*before, *now]):
            if before.get(name) != now.get(name):
                return _first_difference(before.get(name), now.get(name), f"{path}.{name}")
    if isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        number = next(
            n for n, pair in enumerate(zip(before, now, strict=True)) if pair[0] != pair[1]
        )
        return _first_difference(before[number], now[number], f"{path}[{number}]")
    return path.strip(".") or "the whole", _short(before), _short(now)


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return str(value.get("name", value.get("is", "other")))
    if isinstance(value, list):
        return f"[{', '.join(_short(item) for item in value)}]"
    return "nothing" if value is None else str(value)


def facts_of(folder: Path) -> dict[str, Any]:
    """Read ``plan.json``.

    Raises:
        ValueError: If it is not there or no plan.
    """
    try:
        return dict(json.loads((folder / PLAN).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        raise ValueError(
            f"{folder / PLAN} cannot be read, so what the study had settled is unknown; give it"
            " back, or name another folder with --out"
        ) from None


def _write(plan: Plan) -> None:
    # The plan first: a study whose description stands is settled.
    text = json.dumps(plan.facts, indent=1, ensure_ascii=False)
    write_atomic(plan.folder / PLAN, text.encode())
    write_atomic(plan.folder / STUDY, text_of(plan.study).encode())


def same_study(folder: Path, study: Study) -> bool:
    """Whether this very study lies in a folder."""
    try:
        before = _described_in(folder)
    except OSError:
        return False
    return before == read_yaml(text_of(study), "the study")


def study_folder(study: Study, above: Path = Path("studies")) -> Path:
    """Give the folder below ``above`` in which this study lies already, or the next free one."""
    number = 1
    while True:
        folder = above / f"{study.data.name}-{number}"
        if not folder.exists() or same_study(folder, study):
            return folder
        number += 1
