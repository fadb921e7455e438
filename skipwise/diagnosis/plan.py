"""What is measured, in order: cheap and decisive first, so that little time still tells much.

An entry says which measurement it is, whether it needs the blocks, and whether it waits for
``deep``. The passes that are counted are forward and backward passes over its examples; a forward
pass alone is a third of one, a product with the Hessian about two.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import nn
from torch.optim import SGD, Optimizer

from skipwise import analysis
from skipwise.analysis import Measurement, Rule, untouched
from skipwise.analysis.curvature.optimiser import in_use
from skipwise.analysis.depth.paths import design_depths
from skipwise.analysis.weights import place
from skipwise.diagnosis.generalisation import generalisation
from skipwise.diagnosis.rehearsal import Rehearsal, rehearse
from skipwise.diagnosis.subject import (
    EXAMPLES,
    LEAST,
    Pair,
    Subject,
    cut,
    equal,
    size_of,
    up_to,
)

FORWARD = 1 / 3
PROBE = 64  # examples
PIECES = 8  # batches, between which the gradient's noise is measured
STEPS, FEWEST = 20, 8  # that are rehearsed, if there is time, and for which it is made
LOOKS, LOOK = 3, 8  # so many of them are held against their parabolas, at the price of 8 steps each


@final
@dataclass(frozen=True, kw_only=True)
class Entry:
    """One measurement.

    Args:
        name: Its short name in a diagnosis.
        measure: Makes it, or a rehearsal.
        blocks: Whether it needs the blocks.
        deep: Whether it is made only when asked for.
        applies: Whether there is anything to measure.
        passes: Of one example, all in all, where they cannot be made to fit into a share of the
            time.
    """

    name: str
    measure: Callable[[Subject], Measurement | Rehearsal | tuple[str, ...]]
    blocks: bool = False
    deep: bool = False
    applies: Callable[[Subject], bool] = lambda _: True
    passes: Callable[[Subject], float] = lambda _: 0.0


def hold(model: nn.Module, *, training: bool) -> None:
    """Bring a model into a mode; one that trains already keeps its frozen parts frozen."""
    if not (training and model.training):
        model.train(training)


def in_mode(
    measure: Callable[..., Any], subject: Subject, pair: Pair, *, training: bool, **others: Any
) -> Any:
    """Measure in one mode what takes the model in the mode that it is in."""
    with untouched(subject.model):
        hold(subject.model, training=training)
        return measure(subject.model, pair, subject.loss, **others)


def _along_depth(
    measure: Callable[..., Any], *, passes: float, training: bool = True, **others: Any
) -> Callable[[Subject], Any]:
    """Make an entry of what is measured along the depth, in the mode that training sees."""

    def measured(subject: Subject) -> Any:
        pair = subject.some(subject.affordable(PROBE, passes=passes))
        mode = training or not subject.settled
        return in_mode(measure, subject, pair, training=mode, sites=subject.sites, **others)

    return measured


def _signal_at_the_start(subject: Subject) -> Measurement:
    """Measure the signal with the weights that the model began with."""
    assert subject.start is not None
    with untouched(subject.model, weights=True):
        place(subject.model, subject.start)
        return _along_depth(analysis.signal, passes=2)(subject)


def _effective_depth(subject: Subject) -> Measurement:
    depth = _along_depth(analysis.effective_depth, passes=4)(subject)
    assert subject.sites is not None
    blocks = len(subject.sites)
    return Measurement(
        name="Effective depth",
        formula="k = Σ_k k·⟨G_k, g⟩/‖g‖², G_k the gradient that passed k branches",
        source="Veit et al. (2016), section 4.2, exactly",
        of="network",
        rows=("whole",),
        columns={"effective depth": (depth,), "share of the blocks": (depth / blocks,)},
        figures={
            "blocks": float(blocks),
            **{f"design {name}": value for name, value in design_depths(blocks).items()},
        },
    )


def _lesions(subject: Subject) -> Measurement:
    """Remove blocks with statistics that stay as they are, if these can be used at all."""
    assert subject.sites is not None
    passes = (2 * len(subject.sites) + 1) * 2 * FORWARD
    pair = subject.some(subject.affordable(2 * PROBE, passes=passes, share=0.15))
    training = not subject.settled
    return in_mode(analysis.lesions, subject, pair, training=training, sites=subject.sites)


def _normalisation(subject: Subject) -> Measurement:
    examples = subject.affordable(EXAMPLES // 2, passes=2 * FORWARD)
    return analysis.normalisation(subject.model, subject.many(examples), subject.loss)


def _rehearsal(subject: Subject) -> Rehearsal:
    """Take steps, and look at the last of them closely if that leaves time for some.

    Of a network that is too slow for some steps on whole batches, on parts of them.
    """
    seconds, whole = 0.25 * subject.seconds, size_of(subject.updated_on[0])
    size = subject.affordable(whole, passes=FEWEST, share=0.2)
    enough = (LOOKS * LOOK + STEPS / 2) * size * subject.cost <= seconds
    return rehearse(
        subject.model,
        [cut(pair, slice(0, size)) for pair in subject.updated_on],
        subject.loss,
        optimiser_of(subject),
        steps=STEPS,
        seconds=seconds,
        look=LOOKS if enough else 0,
    )


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


def _invariant(subject: Subject) -> tuple[str, ...]:
    passes = 1 + 2 * FORWARD * matrices_of(subject.model)
    pair = subject.some(subject.affordable(PROBE // 2, passes=passes))
    return analysis.scale_invariant_weights(subject.model, pair, subject.loss)


def matrices_of(model: nn.Module) -> int:
    """Count the weights of two axes or more."""
    return sum(parameter.dim() > 1 for parameter in model.parameters())


def _units(subject: Subject) -> Measurement:
    examples = subject.affordable(EXAMPLES, passes=FORWARD, share=0.15)
    training = not subject.settled
    return analysis.units(subject.model, subject.many(examples), training=training)


def _batch_sharpness(subject: Subject) -> Measurement:
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
    """Give the largest learning rate, or None where it is zero."""
    if isinstance(optimiser, Rule):
        return optimiser.rate
    return max(float(group["lr"]) for group in optimiser.param_groups) or None


def _state_ranks(subject: Subject) -> Measurement:
    examples = subject.affordable(4 * PROBE, passes=2 * FORWARD)
    training = not subject.settled
    return analysis.state_ranks(
        subject.model, subject.many(examples), sites=subject.sites, training=training
    )


def _gradient_noise(subject: Subject) -> Measurement:
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


def _layer_rotation(subject: Subject) -> Measurement:
    assert subject.start is not None
    now = analysis.weights_of(subject.model)
    return analysis.layer_rotation(subject.start, now, subject.model)


def _generalisation(subject: Subject) -> Measurement:
    examples = subject.affordable(EXAMPLES, passes=2 * FORWARD, share=0.15)
    seen, unseen = subject.many(examples), up_to(subject.validation, examples)
    return generalisation(subject.model, seen, unseen, subject.loss)


def _hessian(subject: Subject) -> Measurement:
    pair = curved(subject)
    return analysis.hessian_spectrum(
        subject.model, pair, subject.loss, count=3, probes=4, optimiser=limited(subject)
    )


def curved(subject: Subject) -> Pair:
    """Give what the curvature is measured on: a part of a batch, all of it if that is all data."""
    wanted = size_of(subject.batches[0]) if subject.full_batch else 2 * PROBE
    return subject.some(subject.affordable(wanted, passes=100, share=0.3))


def is_of_all(subject: Subject) -> bool:
    """Whether the curvature is that of all the data."""
    return subject.full_batch and size_of(curved(subject)) == size_of(subject.batches[0])


def _density(subject: Subject) -> Measurement:
    pair = subject.some(subject.affordable(PROBE, passes=120, share=0.2))
    return analysis.hessian_density(subject.model, pair, subject.loss, steps=30, probes=2)


def _probes(subject: Subject) -> Measurement:
    examples = subject.affordable(EXAMPLES, passes=FORWARD)
    training = not subject.settled
    return analysis.linear_probes(
        subject.model, subject.many(examples), sites=subject.sites, training=training
    )


def _similarity(subject: Subject) -> Measurement:
    examples = subject.affordable(4 * PROBE, passes=FORWARD)
    training = not subject.settled
    return analysis.state_similarity(
        subject.model, subject.many(examples), sites=subject.sites, training=training
    )


def _line(subject: Subject) -> Measurement:
    points = 11
    pair = subject.some(subject.affordable(2 * PROBE, passes=FORWARD * points * 2))
    return analysis.line(subject.model, pair, subject.loss, points=points, eigenvalues=False)


def _weight_ranks(subject: Subject) -> Measurement:
    with torch.no_grad():
        return analysis.weight_ranks(subject.model)


PLAN = (
    Entry(name="signal", measure=_along_depth(analysis.signal, passes=2), blocks=True),
    Entry(
        name="gradient split",
        measure=_along_depth(analysis.gradient_split, passes=3),
        blocks=True,
    ),
    Entry(
        name="signal at the start",
        measure=_signal_at_the_start,
        blocks=True,
        applies=lambda subject: subject.start is not None,
    ),
    Entry(
        name="normalisation",
        measure=_normalisation,
        applies=lambda subject: bool(subject.statistics),
    ),
    Entry(name="rehearsal", measure=_rehearsal),
    Entry(name="units", measure=_units),
    Entry(name="lesions", measure=_lesions, blocks=True),
    Entry(name="effective depth", measure=_effective_depth, blocks=True),
    Entry(
        name="generalisation",
        measure=_generalisation,
        applies=lambda subject: bool(subject.validation),
    ),
    Entry(
        name="shattering",
        measure=_along_depth(analysis.shattering, passes=2, training=False),
        blocks=True,
    ),
    Entry(name="state ranks", measure=_state_ranks, blocks=True),
    Entry(
        name="batch sharpness",
        measure=_batch_sharpness,
        passes=lambda subject: 8 * size_of(subject.updated_on[0]),
    ),
    Entry(
        name="invariant weights",
        measure=_invariant,
        applies=lambda subject: subject.optimiser is not None,
        passes=lambda subject: LEAST * (1 + 2 * FORWARD * matrices_of(subject.model)),
    ),
    Entry(name="gradient noise", measure=_gradient_noise),
    Entry(
        name="layer rotation",
        measure=_layer_rotation,
        applies=lambda subject: subject.start is not None,
    ),
    Entry(name="linear probes", measure=_probes, blocks=True, deep=True),
    Entry(name="hessian spectrum", measure=_hessian, deep=True),
    Entry(name="state similarity", measure=_similarity, blocks=True, deep=True),
    Entry(
        name="path spectrum",
        measure=_along_depth(analysis.path_spectrum, passes=20),
        blocks=True,
        deep=True,
    ),
    Entry(name="hessian density", measure=_density, deep=True),
    Entry(
        name="jacobian",
        measure=_along_depth(analysis.jacobian, passes=100, training=False, probes=2, steps=10),
        blocks=True,
        deep=True,
    ),
    Entry(
        name="jacobian density",
        measure=_along_depth(
            analysis.jacobian_density, passes=100, training=False, probes=2, steps=20
        ),
        blocks=True,
        deep=True,
    ),
    Entry(name="loss along a line", measure=_line, deep=True),
    Entry(name="weight ranks", measure=_weight_ranks, deep=True),
)
