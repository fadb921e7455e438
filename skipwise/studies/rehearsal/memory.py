"""What an arm needs of this machine's memory, known before it is built."""

import torch
from torch import nn

from skipwise.data import Dataset
from skipwise.experiment import Experiment
from skipwise.networks import Size, build_network, measure_size
from skipwise.training import choose_device, free_memory


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


def check_weights_fit(experiment: Experiment, size: Size) -> None:
    """See that a network's weights and their gradients fit into memory.

    Raises:
        ValueError: If they need more than is free.
    """
    free = free_memory()
    if choose_device().type != "cpu" or free is None:
        return
    need = (8 if experiment.freeze is None else 4) * size.parameters
    if need > free:
        raise ValueError(
            f"the network's weights and their gradients need about {need / 1e9:,.1f} GB of memory,"
            f" {free / 1e9:.1f} GB are free; take a smaller network"
        )
