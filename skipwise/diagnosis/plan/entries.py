"""What is measured, in order: cheap and decisive first, so that little time still tells much.

An entry says which measurement it is, whether it needs the blocks, and whether it waits for
``deep``. The passes that are counted are forward and backward passes over its examples; a forward
pass alone is a third of one, a product with the Hessian about two.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from skipwise import analysis
from skipwise.analysis import Measurement, untouched
from skipwise.analysis.depth.paths import design_depths
from skipwise.analysis.weights import place
from skipwise.diagnosis.generalisation import generalisation
from skipwise.diagnosis.plan.curvature import (
    DENSITY,
    SPECTRUM,
    density_of_curvature,
    noise_of_batches,
    optimiser_of,
    sharpness_of_batches,
    spectrum_of_curvature,
)
from skipwise.diagnosis.plan.entry import FORWARD, PROBE, Entry, at_least, in_mode
from skipwise.diagnosis.rehearsal import Rehearsal, rehearse
from skipwise.diagnosis.subject import EXAMPLES, LEAST, Subject, cut, size_of, up_to

STEPS, FEWEST = 20, 8  # that are rehearsed, if there is time, and for which it is made
LOOKS, LOOK = 3, 8  # so many of them are held against their parabolas, at the price of 8 steps each
PATHS, JACOBIAN = 20, 100  # passes that these take of each example


def _along_depth(
    measure: Callable[..., Any], *, passes: float, training: bool = True, **others: Any
) -> Callable[[Subject], Any]:
    """Make an entry of what is measured along the depth, in the mode that training sees."""

    def measured(subject: Subject) -> Any:
        pair = subject.some(subject.affordable(PROBE, passes=passes))
        mode = training or not subject.settled
        return in_mode(measure, subject, pair, training=mode, sites=subject.sites, **others)

    return measured


def _of_jacobians(name: str, measure: Callable[..., Any], *, steps: int) -> Entry:
    return Entry(
        name=name,
        measure=_along_depth(measure, passes=JACOBIAN, training=False, probes=2, steps=steps),
        blocks=True,
        deep=True,
        passes=at_least(JACOBIAN),
    )


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
    pair = subject.some(subject.affordable(2 * PROBE, passes=_removals(subject), share=0.15))
    training = not subject.settled
    return in_mode(analysis.lesions, subject, pair, training=training, sites=subject.sites)


def _removals(subject: Subject) -> float:
    """Count the passes of each example that lesions take."""
    return 0.0 if subject.sites is None else (2 * len(subject.sites) + 1) * 2 * FORWARD


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


def _of_states(
    measure: Callable[..., Measurement], examples: int, *, passes: float
) -> Callable[[Subject], Measurement]:
    """Make an entry of what needs the states of many examples."""

    def measured(subject: Subject) -> Measurement:
        pairs = subject.many(subject.affordable(examples, passes=passes))
        training = not subject.settled
        return measure(subject.model, pairs, sites=subject.sites, training=training)

    return measured


def _layer_rotation(subject: Subject) -> Measurement:
    assert subject.start is not None
    now = analysis.weights_of(subject.model)
    return analysis.layer_rotation(subject.start, now, subject.model)


def _generalisation(subject: Subject) -> Measurement:
    examples = subject.affordable(EXAMPLES, passes=2 * FORWARD, share=0.15)
    seen, unseen = subject.many(examples), up_to(subject.validation, examples)
    return generalisation(subject.model, seen, unseen, subject.loss)


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
        applies=lambda subject: subject.start is not None and not subject.foreign,
    ),
    Entry(
        name="normalisation",
        measure=_normalisation,
        applies=lambda subject: bool(subject.statistics),
    ),
    Entry(name="rehearsal", measure=_rehearsal),
    Entry(name="units", measure=_units),
    Entry(
        name="lesions",
        measure=_lesions,
        blocks=True,
        passes=lambda subject: LEAST * _removals(subject),
    ),
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
    Entry(
        name="state ranks",
        measure=_of_states(analysis.state_ranks, 4 * PROBE, passes=2 * FORWARD),
        blocks=True,
    ),
    Entry(
        name="batch sharpness",
        measure=sharpness_of_batches,
        passes=lambda subject: 8 * size_of(subject.updated_on[0]),
    ),
    Entry(
        name="invariant weights",
        measure=_invariant,
        applies=lambda subject: subject.optimiser is not None,
        passes=lambda subject: LEAST * (1 + 2 * FORWARD * matrices_of(subject.model)),
    ),
    Entry(name="gradient noise", measure=noise_of_batches),
    Entry(
        name="layer rotation",
        measure=_layer_rotation,
        applies=lambda subject: subject.start is not None,
    ),
    Entry(
        name="linear probes",
        measure=_of_states(analysis.linear_probes, EXAMPLES, passes=FORWARD),
        blocks=True,
        deep=True,
    ),
    Entry(
        name="hessian spectrum",
        measure=spectrum_of_curvature,
        deep=True,
        passes=at_least(SPECTRUM),
    ),
    Entry(
        name="state similarity",
        measure=_of_states(analysis.state_similarity, 4 * PROBE, passes=FORWARD),
        blocks=True,
        deep=True,
    ),
    Entry(
        name="path spectrum",
        measure=_along_depth(analysis.path_spectrum, passes=PATHS),
        blocks=True,
        deep=True,
        passes=at_least(PATHS),
    ),
    Entry(
        name="hessian density",
        measure=density_of_curvature,
        deep=True,
        passes=at_least(DENSITY),
    ),
    _of_jacobians("jacobian", analysis.jacobian, steps=10),
    _of_jacobians("jacobian density", analysis.jacobian_density, steps=20),
    Entry(name="loss along a line", measure=_line, deep=True),
    Entry(name="weight ranks", measure=_weight_ranks, deep=True),
)
