"""What a part of the data says of a network: exact sums over all its examples."""

from collections.abc import Callable, Mapping
from time import perf_counter

import torch
from torch import Tensor, nn

from skipwise.data import Batch, Examples, Preprocessing, in_order
from skipwise.randomness import seeded
from skipwise.records import EvaluationRecord

Tally = Callable[[Tensor, Batch], dict[str, Tensor]]
Metrics = Callable[[Mapping[str, Tensor]], dict[str, float]]


def evaluate(
    model: nn.Module,
    examples: Examples,
    preprocessing: Preprocessing,
    measure: tuple[Tally, Metrics],
    *,
    part: str,
    step: int = 0,
    batch_size: int = 256,
    autocast: torch.dtype | None = None,
) -> EvaluationRecord:
    """Evaluate a module in evaluation mode; its mode and the caller's random numbers stay.

    Args:
        model: Any module.
        examples: The part.
        preprocessing: What the network needs.
        measure: (output, batch) → sums that add up, and sums → metrics.
        part: ``"train"``, ``"validation"`` or ``"test"``.
        step: After how many updates.
        batch_size: Does not change the result beyond rounding.
        autocast: As in training.
    """
    started = perf_counter()
    tally, metrics = measure
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    was_training, sums = model.training, dict[str, Tensor]()
    model.eval()
    with seeded("evaluate", part), torch.inference_mode():
        for batch in in_order(examples, preprocessing, size=batch_size, device=device):
            with torch.autocast(device.type, autocast, enabled=autocast is not None):
                output = model(batch.inputs)
            for name, value in tally(output, batch).items():
                sums[name] = sums[name] + value if name in sums else value
    model.train(was_training)
    seconds = perf_counter() - started
    return EvaluationRecord(
        step=step, part=part, examples=len(examples), metrics=metrics(sums), seconds=seconds
    )
