"""What a run says, in words, and never more than its numbers say."""

import math
import statistics
from collections.abc import Iterator, Sequence

from skipwise.files import METRICS
from skipwise.records import EvaluationRecord, StepRecord
from skipwise.reports.reading import Reading
from skipwise.reports.statistics import of_difference, of_mean, wilson
from skipwise.reports.words import PLAIN_NAMES, counted, duration, number, percent, value_of

QUIET_SECONDS = 600.0  # after which a run that says it is running may not be


def headline(run: Reading) -> str:
    """Say in one line what came out, or where it stands."""
    scored = run.scored
    if run.state == "finished" and scored is not None:
        metric = run.metric
        value = value_of(metric, scored.metrics[metric])
        return f"{PLAIN_NAMES[metric]} {value} on the {scored.part} part"
    if run.state == "finished" and _held_out(run):
        return f"finished, but its scores are not in {METRICS}, which is missing or cut short"
    if run.state == "finished":
        return f"{counted(run.taken, 'step')} taken, and no part held out to score them"
    planned = "" if run.planned is None else f" of {run.planned:,}"
    step = run.diverged_at if run.has_diverged else run.taken
    where = f"at step {step:,}{planned}"
    if run.state == "running":
        return f"not finished: {where}"
    if run.has_diverged:
        return f"diverged {where}"
    return f"{'paused' if run.state.startswith('paused ') else 'stopped'} {where}"


def _held_out(run: Reading) -> int:
    """Count the examples that were held out."""
    sizes = run.facts.get("examples", {})
    return sizes.get("validation", 0) + sizes.get("test", 0)


def verdict(run: Reading) -> list[str]:
    """Say what was trained, how well it does and how sure that is, and how the training went."""
    return [
        *_what(run),
        *_how_it_ended(run),
        *_score(run),
        *_against_guessing(run),
        *_trend(run),
        *_gap(run),
    ]


def interval(run: Reading, record: EvaluationRecord) -> tuple[float, float] | None:
    """Give the 95 % interval of the metric that decides, if the examples tell one."""
    behind = run.behind(record.part)
    if run.metric == "accuracy":
        return wilson(record.metrics["accuracy"] * record.examples, record.examples)
    if run.metric == "loss" and behind is not None and math.isfinite(behind.loss_deviation):
        return of_mean(record.metrics["loss"], behind.loss_deviation, record.examples)
    return None


def _what(run: Reading) -> Iterator[str]:
    facts = run.facts
    size = f" ({facts['parameters']:,} parameters)" if "parameters" in facts else ""
    train = facts.get("examples", {}).get("train")
    of = f"{train:,} examples of {facts['data']}" if train else str(facts["data"])
    length = counted(run.taken, "step")
    if run.steps:
        seconds = sum(step.seconds for step in run.steps)
        length += f" ({run.steps[-1].epoch:.1f} epochs, {duration(seconds)} in steps)"
    yield (
        f"{facts['network']}{size} was trained on {of} with {facts['strategy']} for {length},"
        f" seed {facts['seed']}."
    )


def _how_it_ended(run: Reading) -> Iterator[str]:
    again = run.way_on
    if run.state == "running":
        old = f"its last line is {duration(run.age)} old"
        if run.age > QUIET_SECONDS:
            yield f"The run says that it is going, but {old}; if it was killed, {again} goes on."
        else:
            yield f"The run is still going, or was killed: {old}. What follows is as of then."
    elif run.state == "left by its caller":
        yield f"The program that trained it left it before its end; {again} goes on."
    elif run.state != "finished":
        yield f"It did not reach its end: {run.state}."
        if not run.has_diverged:
            yield f"{again} goes on."
    yield from (f"At step {n.step}: {n.text}." for n in run.notes if "stopped early" in n.text)


def _score(run: Reading) -> Iterator[str]:
    record = run.scored
    if record is None:
        held = sum(run.facts.get("examples", {}).get(part, 0) for part in ("validation", "test"))
        why = "It was not evaluated yet" if held else "No part of the data was held out"
        yield f"{why}, so nothing is known of how well it generalises."
        return
    examples, metric = counted(record.examples, "example"), run.metric
    value, bounds = record.metrics[metric], interval(run, record)
    if metric == "accuracy":
        right = f"{round(value * record.examples):,} of {examples} of the {record.part} part"
        yield f"{right} were classified rightly: {percent(value)}."
    else:
        name = PLAIN_NAMES[metric]
        yield f"On {examples} of the {record.part} part the {name} is {value_of(metric, value)}."
    if bounds is not None:
        low, high = (value_of(metric, bound) for bound in bounds)
        yield (
            f"By the number of examples the value for others of their kind lies between {low} and"
            f" {high} with 95 % confidence; how much another seed would change is not in it."
        )
    else:
        yield "No interval is given for it: its spread over examples was not measured."
    if record.part != "test":
        sizes = run.facts.get("examples")
        has_test = sizes is not None and sizes.get("test", 0)
        if run.state == "finished" and has_test:
            why = f"the score of the test part is not in {METRICS}, which is cut short"
        elif run.state == "finished" or (sizes is not None and not has_test):
            why = "there is no test part"
        elif run.has_diverged and run.is_made_in_python:
            why = "nothing scored its best weights on the test part"
        elif run.has_diverged:
            command = run.command("evaluate", run.folder, alone=True)
            why = f"{command} scores its best weights on the test part"
        else:
            why = "the test part comes at the end"
        yield f"These examples also chose the weights, so the value is favourable: {why}."


def _against_guessing(run: Reading) -> Iterator[str]:
    record = run.scored
    if record is None or run.metric not in ("accuracy", "balanced_accuracy"):
        return
    counts = class_counts(run, record)
    if not counts:
        return
    if run.metric == "balanced_accuracy":
        base = 1 / sum(count > 0 for count in counts)
        always = f"Always saying one class would reach {percent(base)}."
        is_better = record.metrics[run.metric] > base
        yield always if is_better else f"{always} The network is not better than that."
        return
    most = max(counts)
    base, names = most / sum(counts), run.classes(len(counts))
    always = f"Always saying {names[counts.index(most)]!r} would be right in {percent(base)}."
    low = wilson(record.metrics["accuracy"] * record.examples, record.examples)[0]
    yield always if low > base else f"{always} The network is not surely better than that."


def class_counts(run: Reading, record: EvaluationRecord) -> list[int]:
    """Give the examples of each class in a part, where they are known."""
    behind = run.behind(record.part)
    columns = record.per_class or (behind.per_class if behind is not None else {})
    return [int(count) for count in columns.get("examples", ())]


def _trend(run: Reading) -> Iterator[str]:
    """Say whether validation was still improving, level or getting worse at the end."""
    evaluations = run.validations
    if len(evaluations) < 4:
        if evaluations:
            yield (
                f"With {counted(len(evaluations), 'evaluation')} nobody can say whether it was"
                " still improving."
            )
        return
    metric, sign = run.metric, 1 if run.higher else -1
    called = metric.replace("_", " ")
    late = max(len(evaluations) // 4, 1)
    before, after = evaluations[:-late], evaluations[-late:]
    best_before, best_after = (
        max(part, key=lambda e: sign * e.metrics[metric]) for part in (before, after)
    )
    old, new = best_before.metrics[metric], best_after.metrics[metric]
    span = "at the last evaluation" if late == 1 else f"in the last {late} evaluations"
    change = f"from {value_of(metric, old)} to {value_of(metric, new)}"
    noise = _noise(metric, old, new, evaluations[-1].examples)
    if sign * (new - old) > noise:
        yield f"Validation was still improving: {span} the best {called} went {change}."
    elif overfitted := _overfitted(evaluations, run.steps):
        yield overfitted
    elif sign * (new - old) > 0:
        by = f", ±{percent(noise)} by the number of examples" if metric == "accuracy" else ""
        yield (
            f"Whether validation was still improving is not sure: {span} the best {called} went"
            f" {change}{by}."
        )
    else:
        yield f"Validation had levelled off: {span} the best {called} went {change}."


def _noise(metric: str, old: float, new: float, examples: int) -> float:
    """Say which change may be chance: by the number of examples, else one per cent of the value."""
    if metric == "accuracy":
        return of_difference(old, examples, new, examples)
    return 0.01 * abs(old)


def _overfitted(evaluations: Sequence[EvaluationRecord], steps: Sequence[StepRecord]) -> str:
    """Say that validation loss rose by a tenth since its least while training loss fell, if so.

    A jump that it comes down from again is none.
    """
    least = min(evaluations, key=lambda e: e.metrics["loss"])
    low, last = least.metrics["loss"], evaluations[-1]
    apart = last.step - least.step
    if apart < 1 or last.metrics["loss"] < 1.1 * low:
        return ""
    then = mean_loss(steps, least.step - apart, least.step)
    now = mean_loss(steps, least.step, last.step)
    after = [e.metrics["loss"] for e in evaluations if e.step > least.step]
    half = (len(after) + 1) // 2
    is_rising = statistics.fmean(after[-half:]) >= statistics.fmean(after[:half])
    if not now < then or not is_rising:
        return ""
    return (
        f"It over-fitted: since step {least.step:,} the validation loss rose from {number(low)} to"
        f" {number(last.metrics['loss'])} while the training loss fell from {number(then)} to"
        f" {number(now)}."
    )


def _gap(run: Reading) -> Iterator[str]:
    """Compare training and validation accuracy over the last stretch between two evaluations."""
    if len(run.validations) < 2 or "accuracy" not in run.validations[-1].metrics:
        return
    before, last = run.validations[-2:]
    seen = [s for s in run.steps if before.step < s.step <= last.step and s.accuracy == s.accuracy]
    count = sum(s.examples for s in seen)
    if not count:
        return
    train = sum(s.accuracy * s.examples for s in seen) / count
    held = last.metrics["accuracy"]
    yield (
        f"In the last {counted(len(seen), 'step')} {percent(train)} of the training examples were"
        f" right, augmented and before each update, against {percent(held)} of validation."
    )


def mean_loss(steps: Sequence[StepRecord], after: int, until: int) -> float:
    """Give the mean loss of the steps taken after one and up to another; NaN if none."""
    losses = [s.loss for s in steps if after < s.step <= until and not s.skipped]
    return sum(losses) / len(losses) if losses else math.nan
