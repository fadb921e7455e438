"""The training loop: a generator of steps, one screen long."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from time import perf_counter
from typing import Any, cast

from torch import Tensor
from torch.linalg import LinAlgError  # pyright: ignore[reportAttributeAccessIssue]

from skipwise.randomness import seeded
from skipwise.training.gradient import Gradient
from skipwise.training.run import Run, Skipped


@dataclass(frozen=True, kw_only=True)
class Step:
    """One update that was taken, or skipped.

    ``loss`` and ``gradient_norm`` stay on the device until somebody reads them.

    Args:
        step: Counted from 1.
        loss: Mean loss of the batch before the update, shape ``()``.
        gradient_norm: Euclidean norm over all parameters, before clipping, shape ``()``.
        rate: Learning rate; a group with a factor has that much of it.
        examples: Size of the batch, of all processes together.
        seconds: From the start of this step to its end; a GPU may be two steps behind.
        data_seconds: Of these, until the batch was there.
        gradient_seconds: Of these, forward and backward.
        optimiser_seconds: Of these, the update without the gradient it asked for.
        accuracy: Share of right answers in the batch before the update, shape ``()``, or None.
        gradients: How many gradients the rule asked for.
        clipped: Whether a transform shortened the gradient, or a unit's, that moved the weights,
            shape ``()``; None where none clips, and of a skipped step.
        skipped: Whether the guard refused it, so that it changed nothing.
        returned: Whether the guard returned to an earlier state; its last note says why.
        notes: What the guard found and did, one sentence each.
    """

    step: int
    loss: Tensor
    gradient_norm: Tensor
    rate: float
    examples: int
    seconds: float
    data_seconds: float = math.nan
    gradient_seconds: float = math.nan
    optimiser_seconds: float = math.nan
    accuracy: Tensor | None = None
    gradients: int = 1
    clipped: Tensor | None = None
    skipped: bool = False
    returned: bool = False
    notes: tuple[str, ...] = ()


def train(run: Run) -> Iterator[Step]:
    """Yield a Step after every update, from ``run.step`` to ``run.steps``.

    While the caller holds a Step, the parameters are updated and ``.grad`` still holds the gradient
    that updated them. Step t depends on (seed, t, rank) and on the run's state, on nothing that the
    caller does between two steps; the caller's random numbers are left alone.

    Args:
        run: The run; its model, optimiser and step are changed.

    Yields:
        Every update, after it; one that the guard skipped counts as a step too.

    Raises:
        Diverged: If the rule cannot compute its update, or the guard gives up.
    """
    while run.step < run.steps:
        started = perf_counter()
        run.begin_training()
        rate = run.rate
        for group in run.optimiser.param_groups:
            group["lr"] = rate * group.get("factor", 1.0)  # a caller's own groups have none
        with seeded(run.seed, "batch", run.step, run.world.rank):
            batch = run.batches.at(run.step, progress=run.step / run.steps)
        ready = perf_counter()
        gradient = Gradient(run, batch)
        loss, skipped = _update(run, gradient)
        assert gradient.norm is not None
        updated = perf_counter()
        run.advance(skipped=skipped is not None)
        notes = () if run.guard is None else run.guard.after(batch, skipped)
        yield Step(
            step=run.step,
            loss=loss,
            gradient_norm=gradient.norm,
            rate=rate,
            examples=run.batches.size,
            seconds=perf_counter() - started,
            data_seconds=ready - started,
            gradient_seconds=gradient.seconds,
            optimiser_seconds=updated - ready - gradient.seconds,
            gradients=gradient.calls,
            clipped=run.chain.acted if skipped is None else None,
            skipped=skipped is not None,
            returned=run.guard is not None and run.guard.returned_at == run.step,
            notes=notes,
        )


def _update(run: Run, gradient: Gradient) -> tuple[Tensor, Skipped | None]:
    """Move the weights; give the loss before, and why the guard refused the step if it did.

    Raises:
        Diverged: If the rule cannot compute its update: what is not finite has no roots.
        LinAlgError: If the network itself cannot compute something.
    """
    if run.guard is not None:
        run.guard.begin()
    try:
        loss = run.optimiser.step(cast(Any, gradient))  # torch annotates the loss as a float
    except Skipped as error:
        return error.loss, error
    except LinAlgError as error:
        if gradient.norm is None:
            raise  # it is the network's own
        run.step += 1  # the error counts steps from 1
        raise run.diverged(math.nan, f"the update cannot be computed ({error})") from error
    assert isinstance(loss, Tensor)
    return loss, None
