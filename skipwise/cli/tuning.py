"""``find-rate``, ``transfer``, and what ``train --transfer-from`` does before it trains."""

import shlex
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from skipwise.cli.app import leave
from skipwise.cli.composing import NONE_GIVEN, Chosen, Common, composed
from skipwise.cli.words import (
    Flag,
    Whole,
    Words,
    assigned,
    find_network,
    print_json,
)
from skipwise.data import Dataset, check_readable
from skipwise.experiment import Experiment, task_of
from skipwise.files import check_place
from skipwise.finetuning import check_freeze
from skipwise.runs import check_free, experiment_of
from skipwise.training import Target, check_judged, join
from skipwise.tuning import (
    Check,
    FoundRate,
    NothingFound,
    Search,
    SelfTuned,
    Transfer,
    check_transfer,
    rate_of,
)
from skipwise.tuning import transfer as taken_over
from skipwise.watch import choices

LOWEST = 1e-9  # rate of a range test; a float32 weight has a relative precision of 6e-8
REACH = 1e3  # a range that was lowered holds at least so much between its ends


def find_rate(
    data: str,
    /,
    *,
    network: str | None = None,
    strategy: str | None = None,
    recipe: str | None = None,
    seeds: Whole = 3,
    steps: Whole = 100,
    low: float = 1e-6,
    high: float = 10.0,
    seed: Whole | None = None,
    common: Common = NONE_GIVEN,
    set: Words = (),
    allow: Words = (),
    out: Path | None = None,
    quiet: Flag = False,
    json: Flag = False,
) -> None:
    """Find the learning rate: range tests say where to look, short runs decide on validation data.

    Nothing is kept but the picture; the line that is printed trains with the rate.

    Args:
        data: What train takes: a name, a folder, a file, an experiment.yaml.
        network: A name (skipwise list networks), or package.module:function of your own; chosen
            by the data if left out.
        strategy: A name (skipwise list strategies) whose rate is looked for; nesterov if left
            out, with --weights finetuning, for numbers adam.
        recipe: All the choices of a recipe (skipwise list recipes).
        seeds: So many range tests, and so many runs at each rate; more tell rates better apart.
        steps: Updates of each of them.
        low: Lowest rate of the range tests.
        high: Highest rate.
        seed: The first seed.
        common: Options that train and compare have too; the rate that is found belongs to them.
        set: path=value, any field: network.width=8, strategy.weight_decay=1e-4.
        allow: A package of yours that a YAML file may name.
        out: Write the picture here: one HTML file.
        quiet: Tell nothing of what goes on.
        json: Print the result as one JSON object.
    """
    chosen = Chosen(network=network, strategy=strategy, recipe=recipe, settings=set, allow=allow)
    search = Search(seeds=seeds, steps=steps, low=low, high=high)
    experiment, dataset = composed(data, chosen, common, seed=seed)
    check_place(out, "picture")
    words = {
        "--network": network,
        "--strategy": strategy,
        "--recipe": recipe,
        **common.words,
    }
    try:
        found = rate_of(experiment, dataset, search, _quietly if quiet else _aloud)
    except NothingFound as error:
        again = {**words, "--seeds": seeds, "--steps": steps, "--seed": seed, "--out": out}
        leave(next_to_try(error, data, experiment, search, again, set, allow))
    except SelfTuned as error:
        leave(f"{error}: {line_of('train', data, words, set, allow)}")
    page = None if out is None else _drawn(found, out)
    again = line_of("train", data, words, (*_but_rate(set), found.setting), allow)
    if json:
        print_json(as_object(found) | {"train": again, "picture": page})
    else:
        picture = () if page is None else (f"picture: {page}",)
        print("\n".join([*found.words, *picture, f"train with it: {again}"]))


def transfer(
    run: Path,
    /,
    *,
    network: str | None = None,
    seeds: Whole = 3,
    steps: Whole = 200,
    reach: float = 4.0,
    set: Words = (),
    allow: Words = (),
    quiet: Flag = False,
    json: Flag = False,
) -> None:
    """Measure whether a run's learning rate holds for a deeper network of the same family.

    Exit code 1 if that is not shown, with the rate that the measurements suggest.

    Args:
        run: The folder of a run of the shallow network.
        network: The deep one; the run's own if left out, so that --set network.blocks=[9,9,9]
            makes it deep.
        seeds: Runs at each rate and depth.
        steps: Updates of each.
        reach: The deepest of the three networks that are trained has at most so many times the
            run's blocks.
        set: path=value, any field: network.blocks=[9,9,9],
            network.connection.scale_by_depth=0.5, network.connection.base_depth=3.
        allow: A package of yours that the run names.
        quiet: Tell nothing of what goes on.
        json: Print the result as one JSON object.

    Raises:
        SystemExit: With code 1, if it is not shown to hold.
    """
    found = taken_over(
        run,
        None if network is None else find_network(network),
        check=Check(seeds=seeds, steps=steps, reach=reach),
        set=assigned(set),
        allow=allow,
        tell=_quietly if quiet else _aloud,
    )
    if json:
        print_json(as_plain(found))
    else:
        print(found)
    if not found.holds:
        raise SystemExit(1)


def transferred(
    experiment: Experiment,
    dataset: Dataset,
    run: Path | None,
    chosen: Chosen,
    out: Path | None,
    watch: str | None,
    *,
    quiet: bool,
) -> Experiment:
    """Give the experiment the strategy of a run of a shallower network, if that holds; else leave.

    Without a run it stays as it is. A guard that was asked for is kept. What the run that is
    to follow would be refused for is refused before anything is measured.

    Raises:
        ValueError: If a strategy is named too, the check does not suit the run, or the new run
            could not begin.
    """
    if run is None:
        return experiment
    named = _about(chosen.settings, "strategy")
    if chosen.strategy is not None or chosen.recipe is not None or named:
        other = "--recipe" if chosen.recipe is not None else "--strategy"
        raise ValueError(
            f"--transfer-from takes the strategy of {run}; leave {named[0] if named else other} out"
        )
    if experiment.weights is not None:
        raise ValueError("--transfer-from is for training anew; leave --weights out")
    if join().size > 1:
        raise ValueError(
            "--transfer-from measures in one process; check with skipwise transfer, then train"
        )
    check_free(out)
    check_freeze(experiment.freeze, experiment.weights)
    check_judged(experiment.patience, experiment.target, there=dataset.validation is not None)
    if experiment.target is not None:
        Target(value=experiment.target, higher=task_of(dataset, experiment).higher)
    check_readable((dataset.validation, dataset.test))
    choices(watch or "")
    shallow = experiment_of(run, allow=chosen.allow)
    tell = _quietly if quiet else _aloud
    for what, ours, theirs in (
        ("data", experiment.data.name, shallow.data.name),
        ("batches", f"{experiment.batch_size} examples", f"{shallow.batch_size} examples"),
    ):
        if ours != theirs:
            tell(f"the {what} of {run} are others, {theirs}, not {ours}")
    found = check_transfer(shallow, experiment, dataset, tell=tell)
    if not found.holds:
        leave(found.verdict, code=1)
    tell(found.verdict)
    guard = found.strategy.guard or experiment.strategy.guard
    return replace(experiment, strategy=replace(found.strategy, guard=guard))


def _about(settings: tuple[str, ...], *fields: str) -> list[str]:
    """Give the words of ``--set`` that are about these fields of an experiment."""
    return [word for word in settings if word.partition("=")[0].partition(".")[0] in fields]


def as_plain(found: Transfer) -> dict[str, Any]:
    """Give what ``--json`` prints: the verdict, both slopes, the rate, and every loss."""
    plain = {name: value for name, value in asdict(found).items() if name != "strategy"}
    low, middle, high = found.suggested
    return {
        "holds": found.holds,
        "faults": found.faults,
        "rate": found.strategy.peak_lr,
        "rates": found.strategy.rates,
        "suggested": {"rate": middle, "low": low, "high": high},
        **plain,
    }


def line_of(
    command: str,
    data: str,
    words: dict[str, Any],
    settings: tuple[str, ...],
    allow: tuple[str, ...],
) -> str:
    """Give a command on the data, with what was given."""
    given = [
        part
        for word, value in words.items()
        if value
        for part in ((word,) if value is True else (word, str(value)))
    ]
    changes = [part for word in settings for part in ("--set", word)]
    allowed = [part for package in allow for part in ("--allow", package)]
    return shlex.join(["skipwise", command, data, *given, *allowed, *changes])


def _but_rate(settings: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(word for word in settings if not word.startswith("strategy.peak_lr="))


def next_to_try(
    error: NothingFound,
    data: str,
    experiment: Experiment,
    search: Search,
    words: dict[str, Any],
    settings: tuple[str, ...],
    allow: tuple[str, ...],
) -> str:
    """Say on what nothing was found, why, and the command to try next.

    Below the lowest rate of all no update moves a float32 weight, so that then the network and the
    data are looked at instead.
    """
    where = f"{experiment.network.name} on {data} with {experiment.strategy.name}"
    if error.range.get("low", 1.0) < LOWEST:
        named = words["--network"] or experiment.network.name
        allowed = [part for package in allow for part in ("--allow", package)]
        line = shlex.join(["skipwise", "diagnose", named, "--data", data, *allowed])
        return f"no rate was found for {where}: {error.why}, so look at both: {line}"
    low = error.range.get("low", search.low)
    high = error.range.get("high", search.high)
    ends = {"--low": f"{min(low, high / REACH):g}", "--high": f"{high:g}"}
    line = line_of("find-rate", data, {**words, **ends}, settings, allow)
    return f"no rate was found for {where}: {error.why}; try: {line}"


def as_object(found: FoundRate) -> dict[str, Any]:
    """Give what ``--json`` prints: the rate and its interval, each range test, each short run."""
    tests = [
        {"seed": s.seed, "turn": s.turn, "limit": s.limit, "rates": s.rates, "losses": s.losses}
        for s in found.sweeps
    ]
    runs = [
        {"rate": t.rate, "seed": t.seed, "score": t.score, "validation": t.validation}
        for t in found.trials
    ]
    plain = asdict(found)
    return {**plain, "sweeps": tests, "trials": runs}


def _drawn(found: FoundRate, out: Path) -> str | None:
    try:
        return str(found.draw(out))
    except OSError as error:
        print(f"skipwise: no picture was written: {error.strerror}: {out}", file=sys.stderr)
        return None


def _aloud(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


def _quietly(sentence: str) -> None:
    del sentence
