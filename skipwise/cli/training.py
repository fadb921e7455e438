"""``train`` and ``resume``."""

import dataclasses
import sys
from pathlib import Path
from typing import Any

from skipwise.cli.app import STARTED, leave
from skipwise.cli.composing import NONE_GIVEN, Chosen, Common, composed
from skipwise.cli.tuning import transferred
from skipwise.cli.words import (
    Flag,
    Whole,
    Words,
    assigned,
    parse_time,
    print_json,
)
from skipwise.data import Dataset, without_objects
from skipwise.description import Call, packages_of
from skipwise.files import is_of_the_disk
from skipwise.progress import tell_refused
from skipwise.progress import watch as follow
from skipwise.records import RunRecord
from skipwise.reports import command_line
from skipwise.runs import begin, go_on, record_of, reported
from skipwise.session import Session
from skipwise.training import Diverged, Interrupted, join

UNEVEN = 5  # so many times as many examples as the rarest class has the commonest


def train(
    data: str,
    /,
    *,
    network: str | None = None,
    strategy: str | None = None,
    recipe: str | None = None,
    transfer_from: Path | None = None,
    epochs: float | None = None,
    steps: Whole | None = None,
    time: str | None = None,
    seed: Whole | None = None,
    parts: Whole | None = None,
    metric: str | None = None,
    patience: Whole | None = None,
    target: float | None = None,
    common: Common = NONE_GIVEN,
    sync_norms: Flag = False,
    shard: Flag = False,
    views: str | None = None,
    guard: Flag = False,
    compile: str | None = None,
    watch: str | None = None,
    set: Words = (),
    out: Path | None = None,
    allow: Words = (),
    no_report: Flag = False,
    quiet: Flag = False,
    json: Flag = False,
) -> None:
    """Train a network on data and leave a run that can be resumed and used.

    Args:
        data: A name (skipwise list data), a folder of class folders, a file .npz, .parquet
            or .csv (of paths and labels), package.module:dataset of your own, or an
            experiment.yaml that a run left.
        network: A name (skipwise list networks; plain_resnet50 is resnet50 without its skips),
            or package.module:function of your own; chosen by the data if left out.
        strategy: A name (skipwise list strategies), or package.module:function of your own; if
            left out nesterov, with --weights finetuning, for numbers adam.
        recipe: All the choices of a recipe (skipwise list recipes); what else is given changes it.
        transfer_from: The folder of a run of a shallower network of the same family: take its
            strategy, scaled to this depth, if that is measured to hold; exit code 1 if not.
        epochs: Length in passes over the training part; 10 by default, more on small data.
        steps: Length in updates.
        time: Length in time, 90s, 10m or 1h30m, from the command's start to its end: the first
            steps are measured and the schedule is fitted to it.
        seed: Of initial weights, order, augmentation and all other noise.
        parts: Compute each batch in so many parts whose gradients add up, to save memory.
        metric: What best weights, --patience and --target go by: of classes accuracy (if left out),
            balanced_accuracy, f1 or loss; of others any that their task reports.
        patience: Stop after so many evaluations without a better one.
        target: Stop where validation reaches it, 0.92 for example. The defaults are then quick,
            and the run doubles while that helps; exit code 1 if the target is not reached.
        common: Options that find-rate and compare have too.
        sync_norms: Let batch norms of several processes see the whole batch, on GPUs.
        shard: Let each of several processes keep a share of every parameter: for large networks.
        views: Average the outputs over views of a picture when the network is used: flip, or
            crops (moved and mirrored).
        guard: Skip steps that explode, and go back to an earlier state where that is no help.
        compile: on, off, or auto: in runs of over half an hour (GPU: 5 minutes), if it is faster.
        watch: Monitors: gradients,curvature,units,updates,normalisation, in 3 % of the steps' time;
            curvature:every=500:top (steps; eigenvalue), units:examples=256. Weights stay the same.
        set: path=value, any field: strategy.peak_lr=0.1, network.connection=Highway,
            data.shares.test=0.3.
        out: The run's folder; the next free one below runs/ if left out.
        allow: A package of yours that a YAML file may name.
        no_report: Write no report.html at the end; skipwise report RUN writes it later.
        quiet: Show no progress.
        json: Print the result as one JSON object.
    """
    join()
    chosen = Chosen(
        network=network, strategy=strategy, recipe=recipe, settings=set, allow=allow, guard=guard
    )
    experiment, dataset = composed(
        data,
        chosen,
        common,
        epochs=epochs,
        steps=steps,
        seconds=time and parse_time(time),
        seed=seed,
        parts=parts,
        metric=metric,
        patience=patience,
        target=target,
        compile=compile,
        sync_norms=sync_norms or None,
        shard=shard or None,
        views=views,
    )
    experiment = transferred(experiment, dataset, transfer_from, chosen, out, watch, quiet=quiet)
    session = begin(experiment, dataset, out, started=STARTED, watch=watch)
    _introduce(session, quiet=quiet)
    _finish(session, quiet=quiet, as_json=json, allow=allow, reports=not no_report)


def resume(
    run: Path,
    /,
    *,
    epochs: float | None = None,
    steps: Whole | None = None,
    time: str | None = None,
    watch: str | None = None,
    set: Words = (),
    allow: Words = (),
    no_report: Flag = False,
    quiet: Flag = False,
    json: Flag = False,
) -> None:
    """Go on with a run from its last save; with a length, make it longer.

    Args:
        run: The run's folder.
        epochs: New length in passes over the training part, all in all.
        steps: New length in updates, all in all.
        time: New length in time, all in all.
        watch: Other monitors from here on, "" for none; those that the run has if left out.
        set: path=value, a field of the strategy, or patience, target, doublings, precision,
            compile or save_seconds: strategy.peak_lr=0.01 after a run that diverged.
        allow: A package of yours that the run names.
        no_report: Write no report.html at the end.
        quiet: Show no progress.
        json: Print the result as one JSON object.
    """
    world = join()
    seconds = None if time is None else parse_time(time)
    session, refused = go_on(
        run,
        allow=allow,
        settings=assigned(set),
        started=STARTED,
        watch=watch,
        epochs=epochs,
        steps=steps,
        seconds=seconds,
    )
    tell_refused(session, refused)
    if not quiet and world.is_first:
        done = session.run.step >= session.run.steps
        state = (
            f"is finished{', so --set has no effect' if set else ''}; make it longer with --epochs"
            if done
            else f"goes on from step {session.run.step}"
        )
        print(f"{run} {state}", file=sys.stderr)
    _finish(session, quiet=quiet, as_json=json, allow=allow, reports=not no_report)


def _introduce(session: Session, *, quiet: bool) -> None:
    if quiet or not session.world.is_first:
        return
    dataset, experiment = session.dataset, session.experiment
    shape = "×".join(map(str, dataset.ends.inputs))
    kinds = (
        f"{len(dataset.classes)} classes{_uneven(dataset, weighed=experiment.class_weights)}"
        if dataset.classes
        else f"targets of shape {dataset.ends.outputs}"
    )
    parts = {"train": dataset.train, "validation": dataset.validation, "test": dataset.test}
    sizes = ", ".join(f"{len(part)} {name}" for name, part in parts.items() if part is not None)
    parameters = sum(p.numel() for p in session.run.model.parameters())
    numbers = "bfloat16" if session.run.autocast else "float32"
    network = experiment.network
    notes = () if isinstance(network, Call) else network.notes(dataset.ends)
    lines = [
        f"{dataset.name}: {dataset.task}, {kinds}, examples {shape}, {sizes}",
        *dataset.notes,
        *notes,
        f"{experiment.network.name} ({parameters:,} parameters), {experiment.strategy.name},"
        f" seed {experiment.seed}, batches of {session.run.batches.size},"
        f" {numbers} on {session.run.batches.device}{_processes(session)}",
        *_changes(session),
        *(
            [f"best weights by {experiment.metric}"]
            if experiment.metric and dataset.validation
            else []
        ),
        f"run in {session.folder}",
    ]
    print("\n".join(lines), file=sys.stderr)


def _uneven(dataset: Dataset, *, weighed: bool) -> str:
    """Say between what numbers of examples classes lie, where these are far apart."""
    named = sorted(zip(dataset.counts, dataset.classes, strict=False))
    if not named or named[-1][0] < UNEVEN * named[0][0]:
        return ""
    (fewest, rarest), (most, commonest) = named[0], named[-1]
    hint = "" if weighed else "; see --class-weights"
    return f" (from {fewest:,} training examples of {rarest} to {most:,} of {commonest}{hint})"


def _processes(session: Session) -> str:
    size = session.world.size
    return f", {size} processes" if size > 1 else ""


def _changes(session: Session) -> list[str]:
    batches = session.run.batches
    changes = [*batches.single, *batches.mixing]
    return [f"training pictures: {', '.join(map(repr, changes))}"] if changes else []


def _finish(
    session: Session, *, quiet: bool, as_json: bool, allow: tuple[str, ...], reports: bool
) -> None:
    experiment = session.experiment
    named = dataclasses.replace(experiment, data=without_objects(experiment.data))
    own = packages_of(named)
    packages = list(dict.fromkeys([*allow, *own]))
    again = command_line("resume", session.folder, packages, processes=session.world.size)
    try:
        with reported(session.folder, wanted=reports and session.world.is_first):
            follow(session, quiet=quiet)
    except Interrupted as error:
        leave(f"{error}; go on with: {again}", code=128 + error.number)
    except KeyboardInterrupt:
        leave(f"stopped at once; {session.folder} is as last saved; go on with: {again}", code=130)
    except Diverged as error:
        mended = f"{again} --set strategy.peak_lr=…"
        leave(f"{error}; the last good save is in {session.folder}, go on from it with: {mended}")
    except OSError as error:
        if not is_of_the_disk(error, session.folder):
            raise
        leave(
            f"the run cannot be saved in {session.folder}: {error.strerror};"
            f" make room or rights, then: {again}"
        )
    record = record_of(session)
    if session.world.is_first and as_json:
        print_json(as_object(record))
    elif session.world.is_first:
        print(in_words(record))
        if own and not quiet:
            words = " ".join(f"--allow {package}" for package in own)
            print(f"it names code of yours: later commands on it need {words}", file=sys.stderr)
    if session.target is not None and not session.target.is_reached(session.best.value):
        leave(f"the target {session.target.value:g} was not reached", code=1)


def as_object(record: RunRecord) -> dict[str, Any]:
    """Give what ``--json`` prints of a run: ``run`` is its folder, ``test`` its score or null."""
    plain = dataclasses.asdict(record)
    return {"run": plain.pop("path"), "finished": record.finished, **plain}


def in_words(record: RunRecord) -> str:
    """Write a run's result for a person."""
    lines = [
        f"{record.network} on {record.data}, {record.step} steps, {record.train_seconds:.0f} s"
    ]
    for name, evaluation in (("validation", record.validation), ("test", record.test)):
        if evaluation is not None:
            values = ", ".join(f"{k} {v:.4f}" for k, v in evaluation.metrics.items())
            lines.append(f"{name}: {values} ({evaluation.examples} examples)")
    if record.test is None:
        lines.append("there is no test part, so no score that took part in no choice")
    return "\n".join([*lines, f"run: {record.path}"])
