"""What is measured of networks before they train, with the theory that speaks of it."""

import math
import statistics
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from skipwise.analysis import Measurement, Theory, shattering, signal
from skipwise.data import Batches, Dataset
from skipwise.lessons.chain import Design
from skipwise.networks import build_network
from skipwise.randomness import seeded
from skipwise.reports.lesson.record import Expectation, Likeness, Profile

NORM = "gradient norm"
ALIKE = 32  # examples whose gradients are compared, pair by pair


def start_of(design: Design, depth: int, width: int, dataset: Dataset, seed: int) -> nn.Module:
    """Build a network as a training with this seed begins, in double precision.

    Deep sigmoid networks have gradients that single precision cannot write.
    """
    with seeded(seed, "initialise"):
        return build_network(design.chain(depth, width), dataset.ends).double()


def measured_batch(dataset: Dataset, examples: int, seed: int) -> tuple[Tensor, Tensor]:
    """Give so many training examples, as the network reads them."""
    batches = Batches(
        dataset.train,
        dataset.preprocessing,
        size=examples,
        seed=seed,
        classes=len(dataset.classes),
        device=torch.device("cpu"),
    )
    batch = batches.at(0)
    batches.close()
    return batch.inputs.double(), batch.targets


def profile(
    key: str, depth: int, models: Iterable[nn.Module], batch: tuple[Tensor, Tensor]
) -> Profile:
    """Measure the gradient norm along several starts of one design and depth.

    Norms are relative to that at the end of the last block, so that neither the loss's scale nor
    the head's weights count.

    Args:
        key: Of the design.
        depth: Layers.
        models: One for each seed.
        batch: Inputs and targets.
    """
    found = [signal(model, batch) for model in models]
    return Profile(
        design=key,
        depth=depth,
        gradients=tuple(relative(each[NORM], each[NORM][-1]) for each in found),
        correlations=tuple(each["correlation"][-1] for each in found),
        expectation=_expectation(found),
    )


def likeness(
    key: str, depth: int, models: Iterable[nn.Module], batch: tuple[Tensor, Tensor]
) -> Likeness:
    """Measure how alike the gradients of two examples are at the first block.

    Source: Balduzzi et al. (2017); see ``analysis.shattering``.
    """
    few = batch[0][:ALIKE], batch[1][:ALIKE]
    found = [shattering(model, few) for model in models]
    return Likeness(
        design=key,
        depth=depth,
        cosines=tuple(each["gradient cosine"][0] for each in found),
        expected=statistics.fmean(each.theories[0].values[0] for each in found),
    )


def relative(values: Sequence[float], end: float) -> tuple[float, ...]:
    """Divide by the value at the end."""
    return tuple(value / end for value in values)


def _expectation(found: Sequence[Measurement]) -> Expectation | None:
    """Join the theories of all seeds: each takes its network's own weights, so means are taken."""
    theories = [t for each in found for t in each.theories if t.column == NORM]
    if len(theories) != len(found):
        return None
    ends = [each[NORM][-1] for each in found]
    first = theories[0]
    return Expectation(
        values=_geometric([t.values for t in theories], ends),
        low=_geometric([t.low for t in theories], ends),
        high=_geometric([t.high for t in theories], ends),
        formula=first.formula,
        condition=first.condition,
        source=first.source,
        holds=all(_holds(t) for t in theories),
    )


def _geometric(curves: Sequence[Sequence[float]], ends: Sequence[float]) -> tuple[float, ...]:
    """Give the geometric mean, place by place, of curves that are divided by their ends."""
    scaled = [relative(curve, end) for curve, end in zip(curves, ends, strict=True)]
    return tuple(
        math.exp(statistics.fmean(map(math.log, column))) for column in zip(*scaled, strict=True)
    )


def _holds(theory: Theory) -> bool:
    return theory.holds is True
