"""What kinds of choices there are, and what stands in for those not made, read off the data.

Without a target: ResNet-20, Nesterov's momentum, 10 epochs. With a target, ``--target 0.92``, the
aim is to be there soon: a small residual network, Muon at a high rate that rises and falls in
lines, 2½ epochs (4 under another strategy) that begin with smaller pictures, and as many doublings
as it takes. All were chosen on the validation part of Fashion-MNIST. Pictures that the ImageNet
stem suits get ResNet-18 either way.
"""

import inspect
import math
from typing import Any

from torch import nn

from skipwise.data import LABELS, NUMBERS, AlternatingFlip, Dataset, Flip, ProgressiveResize, Views
from skipwise.description import HOME, Call
from skipwise.networks import (
    LARGE,
    NetworkDescription,
    ResNet,
    mlp,
    residual_convolutional,
    residual_linear,
    resnet8_w32,
    resnet18,
    resnet20,
)
from skipwise.strategies import (
    Strategy,
    adam,
    finetuning,
    muon_triangle,
    nesterov,
    nesterov_triangle,
)

EPOCHS, STEPS = 10.0, 400  # so many epochs, and at least so many updates
TARGET_STEPS, DOUBLINGS = 100, 5  # with a target
WITH_MUON, WITH_OTHERS = 2.5, 4.0  # epochs then
BATCH_SIZE = 128
SMALL_FIRST = ProgressiveResize(start=0.7, until=0.6)
BUILT = ", which is built already: name the function that makes it, module:function"


def check_kinds(network: Any, strategy: Any) -> None:
    """Refuse what a run cannot build anew, words among it; None is left to the data.

    Raises:
        TypeError: If one is of another kind.
    """
    makes = inspect.isroutine(network) or isinstance(network, type)
    hint = BUILT if isinstance(network, nn.Module) else ""
    if makes and str(network.__module__).startswith(f"{HOME}."):
        makes, hint = False, f"; call {network.__name__}"
    if not (network is None or makes or isinstance(network, NetworkDescription | Call)):
        raise TypeError(
            "network must be a description, skipwise.resnet20() for example, or a function that"
            " makes the module, so that it can be built anew for each seed; got"
            f" {type(network).__name__}{hint}"
        )
    if strategy is not None and not isinstance(strategy, Strategy):
        raise TypeError(
            "strategy must be a description, skipwise.momentum() or skipwise.strategies.muon() for"
            f" example; got {type(strategy).__name__}"
        )


def complete(dataset: Dataset, given: dict[str, Any]) -> dict[str, Any]:
    """Give the fields of an experiment but its data.

    Args:
        dataset: The data, loaded.
        given: What the user chose; ``network`` and ``strategy`` may be None.
    """
    soon = given.get("target") is not None
    chosen = dict(given)
    if chosen["network"] is None:
        chosen["network"] = default_network(dataset, soon=soon)
    if chosen["strategy"] is None:
        chosen["strategy"] = default_strategy(
            dataset,
            from_weights=given.get("weights") is not None,
            soon=soon,
            # Muon must know the branches, and needs their weights whole.
            matrices=isinstance(chosen["network"], ResNet) and not given.get("shard"),
        )
    if not {"epochs", "steps", "seconds"} & chosen.keys():
        size = min(chosen.get("batch_size", BATCH_SIZE), len(dataset.train))
        quick = WITH_MUON if chosen["strategy"] == muon_triangle() else WITH_OTHERS
        epochs, steps = (quick, TARGET_STEPS) if soon else (EPOCHS, STEPS)
        chosen["epochs"] = max(epochs, float(math.ceil(steps * size / len(dataset.train))))
        if soon:
            chosen.setdefault("doublings", DOUBLINGS)
    if soon and any(isinstance(a, Flip) for a in dataset.augmentation):
        # Seen mirrored in turn, each picture is new twice; a few epochs need no other change of it.
        chosen.setdefault("augmentation", (AlternatingFlip(), SMALL_FIRST))
        chosen.setdefault("views", Views())
    return chosen


def default_network(dataset: Dataset, *, soon: bool) -> NetworkDescription:
    """Choose a network that suits the shapes of the data, a quick one if there is a target."""
    flat = len(dataset.ends.inputs) == 1
    if dataset.task == NUMBERS and dataset.ends.inputs == dataset.ends.outputs:
        return residual_linear() if flat else residual_convolutional()
    if flat:
        return mlp()
    side = min(dataset.ends.inputs[1:])
    if len(dataset.ends.inputs) == 3 and side >= LARGE:
        return resnet18()  # ResNet-20's stem strides nothing, and its blocks see a few pixels
    return resnet8_w32() if soon and side >= 16 else resnet20()


def default_strategy(
    dataset: Dataset, *, from_weights: bool, soon: bool, matrices: bool
) -> Strategy:
    """Choose a strategy: a low rate where weights are there already, Adam for numbers."""
    if from_weights:
        return finetuning()
    if dataset.task == NUMBERS:
        return adam()
    if not soon or dataset.task == LABELS:
        return nesterov()
    return muon_triangle() if matrices else nesterov_triangle()
