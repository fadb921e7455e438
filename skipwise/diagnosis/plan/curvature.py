"""What is measured of gradients and curvature as the optimiser meets them."""

from collections.abc import Sequence

from torch.optim import SGD, Optimizer

from skipwise import analysis
from skipwise.analysis import Measurement, Rule
from skipwise.analysis.curvature.optimiser import in_use
from skipwise.diagnosis.plan.entry import PROBE
from skipwise.diagnosis.rehearsal import largest_rate
from skipwise.diagnosis.subject import Pair, Subject, equal, size_of

PIECES = 8  # batches, between which the gradient's noise is measured
SPECTRUM, DENSITY = 100, 121  # passes that these take of each example


def optimiser_of(subject: Subject) -> Optimizer:
    """Give the optimiser in use; of a rule in plain numbers, the one of torch that follows it.

    Raises:
        ValueError: If there is none.
    """
    rule = subject.optimiser
    if rule is None:
        raise ValueError("no optimiser was given, so no update can be tried; give optimiser=…")
    if not isinstance(rule, Rule):
        return rule
    return SGD(
        [p for p in subject.model.parameters() if p.requires_grad],
        lr=rule.rate,
        momentum=rule.momentum,
        dampening=rule.dampening,
        nesterov=rule.nesterov,
    )


def sharpness_of_batches(subject: Subject) -> Measurement:
    """Measure it as the optimiser sees it, or plainly where that is not known of it."""
    # A smaller batch is sharper, so it has the size that is trained with, and is one.
    batches, rule = list(subject.updated_on[:1]), subject.optimiser
    rate = None if rule is None else rate_of(rule)
    return analysis.batch_sharpness(
        subject.model, batches, subject.loss, rate=rate, optimiser=limited(subject)
    )


def limited(subject: Subject) -> Optimizer | Rule | None:
    """Give the optimiser if its limit of stability is known at this step, else None.

    Of most optimisers it is not known, nor of Adam before its first step; what is measured of the
    curvature without them is not lost.
    """
    if subject.optimiser is None:
        return None
    named = subject.model.named_parameters()
    try:
        in_use(subject.optimiser, {n: p for n, p in named if p.requires_grad and p.numel()})
    except (ValueError, TypeError):
        return None
    return subject.optimiser


def rate_of(optimiser: Optimizer | Rule) -> float | None:
    """Give the largest learning rate without factors of groups, or None where it is zero."""
    if isinstance(optimiser, Rule):
        return optimiser.rate
    return largest_rate(optimiser.param_groups) or None


def noise_of_batches(subject: Subject) -> Measurement:
    """Measure how much the gradient differs from batch to batch."""
    size = subject.affordable(PROBE, passes=PIECES, share=0.1)
    pieces = pieces_of(subject.updated_on, size)
    return analysis.gradient_noise(subject.model, pieces, subject.loss)


def pieces_of(batches: Sequence[Pair], size: int) -> list[Pair]:
    """Cut batches into equal ones: of ``size``, or smaller where this gives fewer than four."""
    while size > 1:
        found = equal(batches, size=size, count=PIECES)
        if len(found) >= PIECES // 2:
            return found
        size //= 2
    return equal(batches, size=1, count=PIECES)


def spectrum_of_curvature(subject: Subject) -> Measurement:
    """Measure the largest eigenvalues of the Hessian, against the optimiser's limit."""
    pair = curved(subject)
    return analysis.hessian_spectrum(
        subject.model, pair, subject.loss, count=3, probes=4, optimiser=limited(subject)
    )


def curved(subject: Subject) -> Pair:
    """Give what the curvature is measured on: a part of a batch, all of it if that is all data."""
    wanted = size_of(subject.batches[0]) if subject.full_batch else 2 * PROBE
    return subject.some(subject.affordable(wanted, passes=SPECTRUM, share=0.3))


def is_of_all(subject: Subject) -> bool:
    """Whether the curvature is that of all the data."""
    return subject.full_batch and size_of(curved(subject)) == size_of(subject.batches[0])


def density_of_curvature(subject: Subject) -> Measurement:
    """Measure how all eigenvalues of the Hessian are spread."""
    pair = subject.some(subject.affordable(PROBE, passes=DENSITY, share=0.2))
    return analysis.hessian_density(subject.model, pair, subject.loss, steps=30, probes=2)
