"""What an arm needs of this machine's memory, known before it is built."""

import math

import torch
from torch import nn

from skipwise.data import Dataset
from skipwise.experiment import Experiment
from skipwise.networks import Size, build_network, measure_size
from skipwise.training import autocast_type, choose_device, free_memory


def size_of(
    experiment: Experiment, dataset: Dataset, model: nn.Module | None = None
) -> Size | None:
    """Measure the network of an experiment without a number of it, or a model that was built.

    None is what a network of a user's own may give that does not run on the meta device.
    """
    ends = dataset.ends
    try:
        with torch.device("meta"), torch.random.fork_rng(devices=[]):
            network = build_network(experiment.network, ends) if model is None else model
            return measure_size(network, ends.inputs)
    except Exception:
        return None


def check_memory(experiment: Experiment, dataset: Dataset, size: Size) -> None:
    """See that weights, gradients and what one part of a batch keeps for them fit into memory.

    Raises:
        ValueError: If they need more than is free. It is a lower bound, so less may not fit either.
    """
    device, free = choose_device(), free_memory()
    if device.type != "cpu" or free is None:
        return
    one = size.memory_bytes
    if autocast_type(experiment.precision, device) is not None:
        one //= 2
    examples = math.ceil(min(experiment.batch_size, len(dataset.train)) / experiment.parts)
    need = 8 * size.parameters + one * examples
    if need > free:
        raise ValueError(
            f"a step needs about {need / 1e9:,.1f} GB of memory, {free / 1e9:.1f} GB are free;"
            " take a smaller network, set a smaller --batch-size, or --set parts=2 or more"
        )
