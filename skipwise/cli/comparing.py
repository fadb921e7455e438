"""``compare``."""

import dataclasses
import json as json_text
import shlex
import signal
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from skipwise.cli.app import leave
from skipwise.cli.composing import NONE_GIVEN, Common, Given, with_settings
from skipwise.cli.words import (
    Flag,
    Whole,
    Words,
    apply_settings,
    find_network,
    find_strategy,
    parse_time,
    print_json,
    read_value,
    weights_among,
)
from skipwise.comparison import as_csv, as_json
from skipwise.data import Data, Dataset, find_data
from skipwise.description import read_yaml
from skipwise.experiment import checked, extended
from skipwise.files import STUDY
from skipwise.studies import (
    Conducted,
    Study,
    begun_from,
    carry_on,
    read_study,
    study_folder,
    study_of,
)
from skipwise.training import Interrupted


def compare(
    data: str,
    /,
    *,
    network: str | None = None,
    strategy: str | None = None,
    seeds: Whole | None = None,
    baseline: str | None = None,
    epochs: float | None = None,
    steps: Whole | None = None,
    time: str | None = None,
    metric: str | None = None,
    target: float | None = None,
    margin: float | None = None,
    tune: Whole | None = None,
    tuner: str | None = None,
    halving: Flag = False,
    vary: Words = (),
    ablate: Flag = False,
    common: Common = NONE_GIVEN,
    set: Words = (),
    jobs: Whole | None = None,
    ray: str | None = None,
    out: Path | None = None,
    allow: Words = (),
    no_report: Flag = False,
    quiet: Flag = False,
    json: Flag = False,
    csv: Flag = False,
) -> None:
    """Compare networks and strategies over seeds, and say which is better and how sure that is.

    The same command again goes on where it stopped, and repeats nothing.

    Args:
        data: As in skipwise train; or a study.yaml, or the folder of a study, to go on with it.
        network: Names, with commas between them; one chosen by the data if left out.
        strategy: Names, with commas between them; one chosen by the task if left out.
        seeds: Runs of every arm; 10 if left out.
        baseline: What the other strategies (or networks) are compared with; the first.
        epochs: Length of every run in passes over the training part.
        steps: Length of every run in updates.
        time: Length of every run in time: 90s, 10m or 1h30m.
        metric: What scores, best weights and --target go by, as in skipwise train.
        target: Count steps, seconds and multiplications until validation reaches it; no run stops
            there.
        margin: Differences below it matter to nobody, in points where the score is a share (0.2 is
            a fifth of a point); without it nothing is called equivalent.
        tune: So many trials for every arm over rate and decay, on validation, with another seed.
        tuner: random, or optuna.
        halving: Let only the better half of an arm's trials go on, at a part of their length, then
            half of these, and so on; never between arms.
        vary: path=v1,v2: each value makes more arms: network.width=8,16. With a name before
            it only those arms: adam:strategy.peak_lr=1e-3,3e-3.
        ablate: Leave out each part of the strategy, and add each to none of them.
        common: Options that train and find-rate have too.
        set: path=value, a field of all runs: network.width=8, strategy.weight_decay=0.
        jobs: Runs at the same time, in processes that share the cores.
        ray: Run on a Ray cluster: its address; without one on a cluster that is started here.
        out: The study's folder; one below studies/ if left out.
        allow: A package of yours that a study.yaml may name.
        no_report: Write no report of the runs and of the study.
        quiet: Show no progress.
        json: Print the result as one JSON object.
        csv: Print all comparisons as CSV.

    Raises:
        ValueError: If something does not fit; nothing was trained.
    """
    if json and csv:
        raise ValueError("--json and --csv both print the result; take one of them")
    place, (file, set) = Path(data), weights_among(set)
    of_study = {
        "seeds": seeds,
        "baseline": baseline,
        "target": target,
        "margin": margin,
        "trials": tune,
        "tuner": tuner,
        "halving": halving or None,
        "vary": varied(vary) if vary else None,
        "ablate": ablate or None,
    }
    of_runs = {
        "epochs": epochs,
        "steps": steps,
        "seconds": None if time is None else parse_time(time),
        "metric": metric,
        **common.of_runs,
        "weights": file or common.weights,
    }
    if place.suffix in (".yaml", ".yml") or (place / STUDY).is_file():
        if network is not None or strategy is not None:
            raise ValueError(f"{data} has networks and strategies of its own; leave yours out")
        is_folder = place.is_dir()
        study = read_study(place / STUDY if is_folder else place, allow=allow)
        study, dataset = _changed(study, of_study, of_runs, common.of_data, set, allow)
        out = place if is_folder and out is None else out
    else:
        given = {**of_study, **of_runs}
        source = with_settings(find_data(data), common.of_data, set)
        study, dataset = _composed(source, network, strategy, given, set, allow)
    folder = study_folder(study) if out is None else out
    shown = _carried_on(
        study, dataset, folder, jobs=jobs, ray=ray, report=not no_report, quiet=quiet
    )
    _tell(shown, json=json, csv=csv)
    if shown.failed:
        leave(
            f"{len(shown.failed)} runs failed, {shown.failed[0]}; the same command tries again",
            code=1,
        )


def _tell(shown: Conducted, *, json: bool, csv: bool) -> None:
    if json:
        plain = json_text.loads(as_json(shown.comparison))
        print_json({"study": str(shown.folder), "failed": shown.failed, **plain})
    elif csv:
        print(as_csv(shown.comparison), end="")
    else:
        print(shown)


def _carried_on(study: Study, dataset: Dataset, folder: Path, **how: Any) -> Conducted:
    try:
        return carry_on(study, dataset, folder, **how)
    except Interrupted as error:
        name, code = signal.Signals(error.number).name, 128 + error.number
        if not (folder / STUDY).exists():
            leave(f"stopped by {name} before anything was trained", code=code)
        words = "".join(f" --allow {package}" for package in study.packages)
        words += f" --jobs {how['jobs']}" if how["jobs"] else ""
        words += f" --ray {how['ray']}" if how["ray"] else ""
        leave(
            f"stopped by {name}; every run is saved; go on with: skipwise compare"
            f" {shlex.quote(str(folder))}{words}",
            code=code,
        )


def _composed(
    data: Data,
    network: str | None,
    strategy: str | None,
    given: dict[str, Any],
    settings: Words,
    allow: Words,
) -> tuple[Study, Dataset]:
    """Make a study from words; settings of network and strategy hold for all of them.

    Raises:
        ValueError: If a setting is of what nobody named.
    """
    networks = [find_network(word) for word in _words(network)] or [None]
    strategies = [find_strategy(word) for word in _words(strategy)] or [None]
    for name, choices in (("network", networks), ("strategy", strategies)):
        if _below(name, settings) and choices == [None]:
            raise ValueError(f"--set {name}.… needs --{name}, as one chosen by the data may change")
    study, dataset = study_of(
        data,
        [n if n is None else apply_settings(n, _below("network", settings)) for n in networks],
        [s if s is None else apply_settings(s, _below("strategy", settings)) for s in strategies],
        allow=allow,
        **{name: value for name, value in given.items() if value is not None},
    )
    rest = [w for w in settings if w.partition(".")[0] not in ("data", "network", "strategy")]
    return dataclasses.replace(study, experiment=apply_settings(study.experiment, rest)), dataset


def _changed(
    study: Study,
    of_study: dict[str, Any],
    of_runs: dict[str, Any],
    of_data: Given,
    settings: Words,
    allow: Words,
) -> tuple[Study, Dataset]:
    """Change what a study file says by what else was given.

    Raises:
        ValueError: If a setting would change no arm.
    """
    for name in ("network", "strategy"):
        if _below(name, settings):
            raise ValueError(
                f"--set {name}.… changes no arm of a study file; change its {name} in the file"
            )
    lengths = {name: of_runs.pop(name) for name in ("epochs", "steps", "seconds")}
    given = checked(of_runs)
    given["data"] = with_settings(study.data, of_data)
    experiment = dataclasses.replace(extended(study.experiment, **lengths), **given)
    changes = {name: value for name, value in of_study.items() if value is not None}
    changes["experiment"] = apply_settings(experiment, settings)
    study = dataclasses.replace(study, **changes)
    dataset = study.data.load()
    return (begun_from(study, dataset, allow=allow) if "weights" in given else study), dataset


def _words(text: str | None) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()] if text else []


def _below(name: str, settings: Iterable[str]) -> list[str]:
    return [w.removeprefix(f"{name}.") for w in settings if w.startswith(f"{name}.")]


def varied(words: Iterable[str]) -> dict[str, tuple[Any, ...]]:
    """Read ``path=v1,v2``; a list among the values stands in brackets.

    >>> varied(["network.width=8,16", "strategy.peak_lr=1e-3,0.1"])
    {'network.width': (8, 16), 'strategy.peak_lr': (0.001, 0.1)}

    Raises:
        ValueError: If a word is no assignment of several values.
    """
    found = {}
    for word in words:
        path, _, text = word.partition("=")
        values = read_yaml(f"[{text}]", f"the values {text!r}") if text else []
        if len(values) < 2:
            raise ValueError(
                f"--vary takes path=v1,v2, network.width=8,16 for example; got {word!r}"
            )
        if path in found:
            raise ValueError(f"--vary {path} stands twice; give all its values at once")
        found[path] = tuple(read_value(value) for value in values)
    return found
