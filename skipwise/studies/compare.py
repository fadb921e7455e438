"""``skipwise.compare``: from what a user gives to a study, and its answer."""

import dataclasses
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from itertools import zip_longest
from pathlib import Path
from typing import Any

import torch

from skipwise.comparison import extension, warning
from skipwise.data import Dataset, Own, check_readable
from skipwise.defaults import check_kinds
from skipwise.description import Call, by_path, fitted
from skipwise.experiment import Experiment, compose, nearest_setting, settled
from skipwise.files import STUDY
from skipwise.finetuning import check_freeze
from skipwise.studies.conduct import Conducted, conduct, rehearsed
from skipwise.studies.launchers import Here, Launcher, Machine
from skipwise.studies.plan import Plan, check_free, facts_of, opened, planned, study_folder
from skipwise.studies.results import design_of
from skipwise.studies.study import Study, check_study
from skipwise.studies.tuning import check_tuner
from skipwise.studies.working import carry_out

MADE = ("experiment", "networks", "strategies")  # of all else that is given
FIELDS = tuple(f.name for f in dataclasses.fields(Study) if f.name not in MADE)


def compare(
    data: Any,
    network: Any = None,
    strategy: Any = None,
    *,
    out: str | Path | None = None,
    jobs: int | None = None,
    ray: str | None = None,
    report: bool = True,
    quiet: bool = False,
    **settings: Any,
) -> Conducted:
    """Compare networks and strategies; the Python form of ``skipwise compare``.

    Called again, it goes on where it stopped.

    Args:
        data: A description, a word as on the command line, arrays or a data set of your own, or a
            whole :class:`~skipwise.studies.Study`.
        network: One or several, as in :func:`skipwise.train`.
        strategy: One or several.
        out: The study's folder; one below ``studies`` if None.
        jobs: Runs at the same time; see :func:`skipwise.studies.carry_on`.
        ray: The address of a Ray cluster, or ``"local"``.
        report: Write the reports of the runs and of the study.
        quiet: Say nothing while it goes.
        **settings: Other fields of :class:`~skipwise.studies.Study`, ``seeds`` for example, and of
            :class:`skipwise.Experiment`, ``epochs`` for example.

    Raises:
        TypeError: If a whole study is given something beside it.
        ValueError: If something does not fit; nothing was trained.
    """
    if isinstance(data, Study) and (network is not None or strategy is not None or settings):
        raise TypeError("a Study is whole; change it with dataclasses.replace")
    if isinstance(data, Study):
        check_study(data)
        study, dataset = data, data.data.load()
    else:
        study, dataset = study_of(data, network, strategy, **settings)
    folder = study_folder(study) if out is None else Path(out)
    return carry_on(study, dataset, folder, jobs=jobs, ray=ray, report=report, quiet=quiet)


def study_of(
    data: Any,
    network: Any = None,
    strategy: Any = None,
    *,
    allow: Iterable[str] = (),
    **settings: Any,
) -> tuple[Study, Dataset]:
    """Make a study from what a user gives, and load its data.

    Args:
        data: See :func:`compare`.
        network: One or several.
        strategy: One or several.
        allow: Packages that the card of a file of weights may name.
        **settings: Fields of the study and of the experiment that all runs share.

    Raises:
        TypeError: If a setting is unknown, or a network or strategy of another kind.
        ValueError: If a setting has no effect on a study, or of several none is named.
    """
    networks, strategies = _several("network", network), _several("strategy", strategy)
    known = list(dict.fromkeys([*FIELDS, *(f.name for f in dataclasses.fields(Experiment))]))
    for name in settings:
        if name not in known:
            raise TypeError(f"a study has no setting {name!r}{nearest_setting(name, known)}")
    given = {k: v for k, v in settings.items() if k in FIELDS and v is not None}
    varied = by_path("vary", given.get("vary"))
    given["vary"] = {path: _listed(values) for path, values in varied.items()}
    of_study = {name: fitted(Study, name, value) for name, value in given.items()}
    of_runs = {k: v for k, v in settings.items() if k not in FIELDS}
    for pair in zip_longest(networks, strategies):
        check_kinds(*pair)
    networks = tuple(_described(choice) for choice in networks)
    experiment, dataset = compose(data, networks[0], strategies[0], allow=allow, **of_runs)
    study = Study(
        experiment=experiment,
        networks=tuple(experiment.network if n is None else n for n in networks),
        strategies=tuple(experiment.strategy if s is None else s for s in strategies),
        **of_study,
    )
    check_study(study)
    return begun_from(study, dataset, allow=allow), dataset


def begun_from(study: Study, dataset: Dataset, *, allow: Iterable[str] = ()) -> Study:
    """Settle for every network what follows from the file of weights, if runs begin from one."""
    if study.experiment.weights is None:
        return study
    runs = [settled(study.experiment, dataset, each, allow=allow) for each in study.networks]
    networks = tuple(run.network for run in runs)
    return dataclasses.replace(study, experiment=runs[0], networks=networks)


def _described(network: Any) -> Any:
    """Name a function or class of the user's own, so that another process finds it.

    Raises:
        ValueError: If none could.
    """
    if isinstance(network, Call) or not callable(network):
        return network
    if network.__module__ == "__main__":
        raise ValueError(
            f"{network.__qualname__} stands in the program itself, where no other process finds it;"
            " move it into a module and import it from there"
        )
    return Call(target=f"{network.__module__}:{network.__qualname__}")


def _listed(values: Any) -> Any:
    is_list = isinstance(values, Iterable) and not isinstance(values, str | Mapping)
    return list(values) if is_list else values


def _several(name: str, given: Any) -> list[Any]:
    if not isinstance(given, Sequence) or isinstance(given, str):
        return [given]
    if not given:
        raise ValueError(f"{name} is an empty list; name one or several, or leave it out")
    return list(given)


def carry_on(
    study: Study,
    dataset: Dataset,
    folder: Path,
    *,
    jobs: int | None = None,
    ray: str | None = None,
    report: bool = True,
    quiet: bool = False,
) -> Conducted:
    """Carry out a study in its folder, from wherever it has got to.

    Args:
        study: The study.
        dataset: Its data, loaded.
        folder: Where it lies, or is to lie.
        jobs: Runs at the same time, for each of which a study that begins settles its share of the
            threads; None is one run with all of them, on a cluster as many as there are processors.
        ray: The address of a Ray cluster, or ``"local"``.
        report: Write the reports.
        quiet: Say nothing.

    Raises:
        ValueError: If something does not fit; nothing was trained.
    """
    if jobs is not None and jobs < 1:
        raise ValueError(f"jobs must be at least 1, got {jobs}")
    check_tuner(study.tuner)
    is_new = not (folder / STUDY).exists()
    threads = threads_of(jobs, ray) if is_new else int(facts_of(folder)["threads"])
    plan = planned(study, dataset, folder, threads=threads, on_cluster=ray is not None)
    if is_new:
        for arm in plan.arms:
            check_freeze(arm.experiment.freeze, arm.experiment.weights)
        check_free(folder)
        check_readable((dataset.validation, dataset.test))
    else:
        plan = opened(plan)
    launcher = _launcher(plan, jobs=jobs, ray=ray)
    design = design_of(plan, jobs=launcher.words)
    for words in (warning(design), extension(design)):
        if words and not quiet:
            print(words, file=sys.stderr, flush=True)
    with closing(launcher):
        if is_new:
            plan = opened(rehearsed(plan, launcher, quiet=quiet))
        if not quiet:
            print(f"study in {folder}: {launcher.words}", file=sys.stderr, flush=True)
        return conduct(plan, launcher, quiet=quiet, reports=report)


def threads_of(jobs: int | None, ray: str | None) -> int:
    """Share the cores out; a study keeps the number, as it decides the last bits.

    The nodes of a cluster may be smaller than this machine, so a run gets one thread there unless
    somebody says how many runs share a machine.
    """
    if ray is not None and jobs is None:
        return 1
    return max(torch.get_num_threads() // (jobs or 1), 1)


def _launcher(plan: Plan, *, jobs: int | None, ray: str | None) -> Launcher:
    data, threads = plan.study.data, int(plan.facts["threads"])
    if isinstance(data, Own) and data.is_nameless:
        if (jobs or 1) > 1 or ray is not None:
            raise ValueError(
                "data that were made in Python cannot go to another process; name the function that"
                " makes them, module:function, or take one job"
            )
        return Here(carry_out=lambda task: carry_out(task, data))
    if ray is not None:
        from skipwise.studies.launchers.ray import Cluster

        return Cluster(address=ray, threads=threads)
    return Machine(jobs=jobs or 1, threads=threads)
