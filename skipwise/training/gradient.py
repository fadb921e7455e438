"""The gradient of one step: forward, backward, accumulate, transform.

It stands in the closure that the optimiser calls, so a rule that needs the gradient twice is no
special case: every call within a step sees the same batch and the same random numbers, and only
the first one moves BatchNorm's statistics, counts right answers, and is what is reported.
"""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import final

import torch
from torch import Tensor
from torch.nn.utils import get_total_norm

from skipwise.data import Batch
from skipwise.randomness import examples, seeded
from skipwise.training.processes import adding_up
from skipwise.training.run import Loss, Run
from skipwise.training.sharded import add_up, whole_tensor


class Counting(ABC):
    """A loss that counts something beside itself, which is added up over the processes with it."""

    @abstractmethod
    def __call__(self, output: Tensor, batch: Batch) -> tuple[Tensor, float | Tensor]:
        """Give the loss as (sum, count)."""

    @abstractmethod
    def counts(self, device: torch.device) -> Tensor:
        """Give what was counted in this process, shape ``(n,)``; n is the same in all of them."""

    @abstractmethod
    def recount(self, total: Tensor) -> None:
        """Take the sums of all processes for one's own, shape ``(n,)``."""


@final
class Gradient:
    """Calling it leaves the batch's mean gradient, transformed, in ``.grad``, and gives the loss.

    Args:
        run: The run at the step whose gradient is wanted.
        batch: That step's batch, or this process's share of it.
    """

    def __init__(self, run: Run, batch: Batch):
        self.run, self.batch = run, batch
        self.norm: Tensor | None = None
        self.calls, self.seconds = 0, 0.0

    def __call__(self) -> Tensor:
        """Compute loss and gradient.

        ``norm`` then holds the first gradient's norm before it is transformed, ``calls`` how many
        gradients there were so far, and ``seconds`` their time; on a GPU that of giving the
        commands. Where the guard refuses the step this leaves by its :class:`Skipped`, before a
        transform could spread what is not finite.
        """
        started, before, run = perf_counter(), self.seconds, self.run
        self.calls += 1
        run.optimiser.zero_grad(set_to_none=True)
        with seeded(run.seed, "step", run.step, run.world.rank):
            loss = self._first() if self.norm is None else self._again()
        norm = get_total_norm([p.grad for p in run.model.parameters() if p.grad is not None])
        if run.is_sharded:
            norm = whole_tensor(norm)
        self.norm = norm if self.norm is None else self.norm
        self.seconds += perf_counter() - started
        if run.guard is not None:
            run.guard.check(loss, norm, first=self.calls == 1)
        if run.chain.transforms:
            learning = [entry for entry in run.learning if entry.parameter.grad is not None]
            with seeded(run.seed, "gradient", run.step):
                run.chain.apply(learning, norm, run.step)
        self.seconds = before + perf_counter() - started
        return loss

    def _first(self) -> Tensor:
        return accumulate(self.run, self.batch, self.run.loss)

    def _again(self) -> Tensor:
        """Compute them at other weights, which leave no statistics behind."""
        buffers = list(self.run.model.buffers())
        kept = [buffer.clone() for buffer in buffers]
        try:
            # What counts right answers wraps the loss and says so by __wrapped__.
            return accumulate(self.run, self.batch, inspect.unwrap(self.run.loss))
        finally:
            with torch.no_grad():
                for buffer, before in zip(buffers, kept, strict=True):
                    buffer.copy_(before)


def trial_gradient(run: Run, batch: Batch) -> None:
    """Take a forward and a backward pass as a step would, without the loss."""
    part = batch.parts(run.parts)[0]
    assert part.keys is not None
    with (
        seeded(run.seed, "trial"),
        examples(part.keys),
        torch.autocast(part.inputs.device.type, run.autocast, enabled=run.autocast is not None),
    ):
        output = run.forward(part.inputs)
    output.float().square().mean().backward()


@contextmanager
def leaving_no_trace(run: Run) -> Iterator[None]:
    """Train inside; gradients are then gone, and the buffers are as they were."""
    kept = {name: buffer.clone() for name, buffer in run.model.named_buffers()}
    run.begin_training()
    try:
        yield
    finally:
        run.optimiser.zero_grad(set_to_none=True)
        with torch.no_grad():
            for name, buffer in run.model.named_buffers():
                buffer.copy_(kept[name])


def accumulate(run: Run, batch: Batch, criterion: Loss) -> Tensor:
    """Add up the gradients of the batch's parts to that of its mean loss, and give that loss.

    Of several processes each adds those of its share: ``.grad``, the loss and what it counts beside
    itself are of the whole.
    """
    world, whole = run.world, run.batches.size
    count: float | Tensor = 0.0
    total = torch.zeros((), device=batch.inputs.device)
    parts = batch.parts(run.parts)
    for number, part in enumerate(parts, 1):
        assert part.keys is not None
        if run.is_sharded:
            add_up(run.model, now=number == len(parts))
        with adding_up(run.spread, now=number == len(parts)):
            with (
                examples(part.keys),
                torch.autocast(
                    part.inputs.device.type, run.autocast, enabled=run.autocast is not None
                ),
            ):
                output = run.forward(part.inputs)
            loss, weight = criterion(output, part)
            # The sum over the processes is divided by their number.
            (loss / (whole / world.size)).backward()
        total, count = total + loss.detach(), count + weight
    if world.size > 1:
        # A number would be copied to a GPU, and waited for; a fill is not.
        counted = count if isinstance(count, Tensor) else torch.full_like(total, count)
        sums = torch.stack([total.double(), counted.double()])
        if isinstance(criterion, Counting):  # no message of its own: it travels with the loss
            sums = torch.cat([sums, criterion.counts(sums.device)])
        total, count, *beside = world.sum(sums)
        if isinstance(criterion, Counting):
            criterion.recount(torch.stack(beside))
    # Whether weights add up to the count is not known here without waiting for the device.
    if isinstance(count, Tensor) or count != whole:
        for parameter in run.model.parameters():
            if parameter.grad is not None:
                parameter.grad.mul_(whole / count)
    return total / count
