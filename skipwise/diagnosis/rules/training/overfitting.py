"""V10: a model that learns its training examples and not what they have in common."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from statistics import fmean

from skipwise.analysis import Measurement, short
from skipwise.diagnosis.cure import Cure, by_network, by_training, for_all, joined
from skipwise.diagnosis.history import Evaluated, History
from skipwise.diagnosis.verdict import Level, Verdict

NEAR_ZERO = 0.1  # of the validation loss
ERRORS = 2.0
LUCKY = 3.0  # standard errors of the accuracy: answers of a class hang together, so two are met
SLIGHT = 0.1  # of the loss of guessing: below it validation is answered well, whatever the gap
EVALUATIONS = 3  # in a row that rise

SMOOTHER = by_training(
    "--set strategy.label_smoothing=0.1, if probabilities matter",
    module="nn.CrossEntropyLoss(label_smoothing=0.1), if probabilities matter",
)
LABELS = for_all("see first that labels belong to their examples (are they shuffled?)")
REGULAR = joined(
    (
        by_training(
            "more augmentation (--augment pad-crop,flip,cutout), --set strategy.weight_decay=5e-4",
            module="more augmentation, a weight decay of 5e-4",
        ),
        by_network(
            "--set network.dropout=0.2, --set network.connection=StochasticDepth",
            module="nn.Dropout(0.2), stochastic depth (torchvision.ops.StochasticDepth)",
        ),
        by_training(
            "or an end at the best evaluation (--patience 5)",
            module="or an end at the best evaluation",
        ),
    ),
    by=", ",
)

_verdict = partial(
    Verdict,
    rule="V10",
    name="too little regularisation",
    reference="the same loss on both parts, in evaluation mode",
    band="a training loss above a tenth of the validation loss, or a validation loss that does not"
    " rise",
    source="Guo et al. (2017), On calibration of modern neural networks, for a loss that rises with"
    " the accuracy; Zhang et al. (2017), Understanding deep learning requires rethinking"
    " generalization, for labels at random; the thresholds are ours",
)


@dataclass(frozen=True, kw_only=True)
class _Gap:
    """What both parts say: whether the gap is sure, training near zero, validation no better.

    Or ``slight``: validation is near zero as well.
    """

    sure: bool = False
    near_zero: bool = False
    guessing: bool = False
    slight: bool = False


@dataclass(frozen=True, kw_only=True)
class _Course:
    """What the evaluations say: whether validation turned while training fell, and accuracy."""

    known: bool = False
    turned: bool = False
    calibration: bool = False


def overfitting(*, gap: Measurement | None = None, history: History | None = None) -> Verdict:
    """Judge what is lost from training to validation data.

    A gap alone is no fault. FAIL asks for a gap beyond two standard errors, a training loss below a
    tenth of the validation loss, and either a validation part that is answered no better than by
    guessing or a validation loss that rose three evaluations in a row while training fell. A loss
    that rises while the accuracy rises too is a matter of calibration, and told only.

    Args:
        gap: ``diagnosis.generalisation``: both parts evaluated without augmentation or dropout; the
            losses of the steps are no substitute.
        history: With evaluations of the validation part.
    """
    between = _between(gap)
    course = _course(history)
    numbers = _numbers(gap)
    if gap is None and not course.known:
        return _verdict(
            level=Level.UNKNOWN,
            says="There were no validation examples, nor four evaluations, to hold training against"
            " (the loss of the steps is of augmented ones); give data with a validation part.",
        )
    bad = course.turned and not course.calibration and not between.slight
    if between.sure and between.near_zero and (between.guessing or bad):
        return _verdict(
            level=Level.FAIL,
            says="The training part is learned by heart: " + _heart(numbers, between),
            numbers=numbers,
            remedy=_cure(guessing=between.guessing),
        )
    if bad or (between.sure and between.guessing):
        return _verdict(
            level=Level.WARN,
            says=f"Validation loss rose over the last {EVALUATIONS} evaluations, while training"
            " fell."
            if bad
            else "Validation is answered no better than by guessing, training is.",
            numbers=numbers,
            remedy=_cure(guessing=not bad),
        )
    return _harmless(between, course, numbers)


def _harmless(between: _Gap, course: _Course, numbers: dict[str, float]) -> Verdict:
    if course.turned and between.slight:
        return _verdict(
            level=Level.INFO,
            says=f"Validation loss rises, but at {short(numbers['validation loss'])} it is next to"
            " nothing beside that of guessing.",
            numbers=numbers,
        )
    if course.turned:
        return _verdict(
            level=Level.INFO,
            says="Validation loss rises while its accuracy rises too: the model is surer than it is"
            " right, which is a matter of calibration.",
            numbers=numbers,
            remedy=SMOOTHER,
        )
    if between.sure:
        return _verdict(
            level=Level.INFO,
            says=f"Validation loss is {short(numbers['gap'])} above training loss, which alone is"
            " no fault.",
            numbers=numbers,
        )
    return _verdict(level=Level.PASS, says="Nothing speaks for learning by heart.", numbers=numbers)


def _between(gap: Measurement | None) -> _Gap:
    if gap is None:
        return _Gap()
    training, validation = gap["loss"]
    accuracy, examples = gap["accuracy"][1], gap["examples"][1]
    error = math.sqrt(max(accuracy * (1 - accuracy), 0) / examples) if accuracy == accuracy else 0
    figures = gap.figures
    return _Gap(
        sure=figures["gap"] > ERRORS * figures["standard error of the gap"],
        near_zero=training <= NEAR_ZERO * validation,
        guessing=validation >= figures["loss of guessing"]
        and accuracy - LUCKY * error <= figures["accuracy of guessing"],
        slight=validation < SLIGHT * figures["loss of guessing"],
    )


def _course(history: History | None) -> _Course:
    if history is None or len(history.validation) <= EVALUATIONS:
        return _Course()
    last = history.validation[-EVALUATIONS - 1 :]
    rising = all(one.loss < two.loss for one, two in pairwise(last))
    return _Course(
        known=True,
        turned=rising and _training_fell(history, last),
        calibration=last[-1].accuracy > last[0].accuracy,
    )


def _training_fell(history: History, last: Sequence[Evaluated]) -> bool:
    """By evaluations of the training part if there are any, else by the losses of its steps."""
    begun, ended = last[0].step, last[-1].step
    within = [each.loss for each in history.training if begun <= each.step <= ended]
    if len(within) > 1:
        return within[-1] < within[0]
    steps = zip(history.steps, history.losses, strict=True) if history.losses else ()
    losses = [loss for step, loss in steps if begun < step <= ended and math.isfinite(loss)]
    half = len(losses) // 2
    return half > 0 and fmean(losses[half:]) < fmean(losses[:half])


def _numbers(gap: Measurement | None) -> dict[str, float]:
    if gap is None:
        return {}
    named = {
        "training loss": gap["loss"][0],
        "validation loss": gap["loss"][1],
        "training accuracy": gap["accuracy"][0],
        "validation accuracy": gap["accuracy"][1],
        **gap.figures,
    }
    return {name: value for name, value in named.items() if not math.isnan(value)}


def _heart(numbers: dict[str, float], between: _Gap) -> str:
    losses = (
        f"its loss is {short(numbers['training loss'])}, that of the validation part"
        f" {short(numbers['validation loss'])}"
    )
    if between.guessing:
        return f"{losses}, no better than guessing ({short(numbers['loss of guessing'])})."
    return f"{losses}, and rose over the last {EVALUATIONS} evaluations."


def _cure(*, guessing: bool) -> Cure:
    return joined((LABELS, REGULAR), by="; then ") if guessing else REGULAR
