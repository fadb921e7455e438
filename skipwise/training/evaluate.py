"""What a part of the data says of a network: exact sums over all its examples."""

from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import Protocol

import torch
from torch import Tensor, nn

from skipwise.data import Batch, Examples, Preprocessing, Views, in_order, mean_over_views
from skipwise.randomness import seeded
from skipwise.records import EvaluationRecord
from skipwise.training.processes import ALONE, World


class Measure(Protocol):
    """What is measured: sums over batches, and what follows from them; a task, for example."""

    def tally(self, output: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Give sums over the batch that add up."""
        ...

    def metrics(self, tally: Mapping[str, Tensor]) -> dict[str, float]:
        """Turn the sums over a whole part into metrics."""
        ...

    def per_class(self, tally: Mapping[str, Tensor]) -> Mapping[str, Sequence[float]]:
        """Turn them into metrics class by class, if there are classes."""
        ...


def evaluate(
    model: nn.Module,
    examples: Examples,
    preprocessing: Preprocessing,
    measure: Measure,
    *,
    part: str,
    step: int = 0,
    batch_size: int = 256,
    autocast: torch.dtype | None = None,
    views: Views | None = None,
    world: World = ALONE,
) -> EvaluationRecord:
    """Evaluate a module in evaluation mode; its mode and the caller's random numbers stay.

    Args:
        model: Any module.
        examples: The part.
        preprocessing: What the network needs.
        measure: The task.
        part: ``"train"``, ``"validation"`` or ``"test"``.
        step: After how many updates.
        batch_size: Does not change the result beyond rounding.
        autocast: As in training.
        views: Over which views of the inputs the outputs are averaged.
        world: The processes that share the examples out; all get the same record.
    """
    started = perf_counter()
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    was_training, sums = model.training, dict[str, Tensor]()
    model.eval()
    # What is gathered from shares must serve the next step too, which forbids inference mode.
    quiet = torch.no_grad() if world.size > 1 else torch.inference_mode()
    with seeded("evaluate", part), quiet:
        among = (world.rank, world.size)
        for batch in in_order(examples, preprocessing, size=batch_size, device=device, among=among):
            with torch.autocast(device.type, autocast, enabled=autocast is not None):
                output = mean_over_views(model, batch.inputs, views)
            for name, value in measure.tally(output, batch).items():
                sums[name] = sums[name] + value if name in sums else value
        sums = {name: world.sum(value) for name, value in sums.items()}
    model.train(was_training)
    return EvaluationRecord(
        step=step,
        part=part,
        examples=len(examples),
        metrics=measure.metrics(sums),
        seconds=perf_counter() - started,
        per_class=measure.per_class(sums),
    )
