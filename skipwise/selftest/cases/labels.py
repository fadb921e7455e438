"""Faults of the data: labels that no example explains."""

import torch

from skipwise.selftest.case import Case, Specimen
from skipwise.selftest.examples import classes, in_batches, shuffled
from skipwise.selftest.models import residual, scaled
from skipwise.selftest.practice import practised

BLOCKS, EXAMPLES = 2, 128
APART = 6.0
RATE, STEPS = 3e-3, 120


def memorised(seed: int, *, faulty: bool) -> Specimen:
    """Train on a small set until it is known by heart, with its labels shuffled or as they are."""
    inputs, targets = classes(seed, examples=EXAMPLES, apart=APART)
    if faulty:
        targets = shuffled(seed, targets)
    model = residual(seed, BLOCKS, scaled(BLOCKS))
    return practised(
        model,
        seed,
        optimiser=torch.optim.Adam(model.parameters(), lr=RATE),
        steps=STEPS,
        pairs=[(inputs, targets)],
        validation=in_batches(*classes(seed, apart=APART, part="validation")),
    )


LABELS = (
    Case(
        name="shuffled",
        rule="V10",
        build=memorised,
        difference="labels shuffled, true",
        theory="every label is as often in every class, so validation stays at chance, 1 of 8",
    ),
)
