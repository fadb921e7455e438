"""What mends a network's depth, chosen by what stands in its way."""

from skipwise.analysis import Measurement
from skipwise.diagnosis.cure import Cure, by_network, by_training, for_all, joined

SKIP = by_network(
    "give every block a skip: --set network.connection=Additive, or the residual network of the"
    " same depth (as --network resnet20 is of plain20; in Python"
    " skipwise.networks.Residual(branch))",
    module="give every block a skip, x + block(x): skipwise.Residual(block)",
)
HE = by_network(
    "draw the weights from He's distribution (skipwise.networks.initialise_he(model)), whose"
    " factor is 1",
    module="draw the weights from He's distribution, whose factor is 1:"
    " nn.init.kaiming_normal_(layer.weight, nonlinearity='relu')",
)
NORM = by_network(
    "put a norm in every block (--set network.branch=PreActivation)",
    module="put a norm before the first layer of every block",
)
SCALED = by_network(
    "scale the branches by the root of the depth: --set network.connection=Additive"
    " --set network.connection.scale_by_depth=0.5",
    module="scale the branches by the root of the depth, x + branch(x) / depth**0.5:"
    " skipwise.Residual(branch, skipwise.Additive(scale=depth**-0.5))",
)
FROM_ZERO = by_network(
    "let them start at zero: --set network.connection.scale=0 --set network.connection.learned=true"
    " (ReZero), or --set network.branch=Fixup",
    module="let the branches start at zero, by a learned factor in front of each (ReZero:"
    " skipwise.Residual(branch, skipwise.Additive(scale=0.0, learned=True))) or weights of zeros in"
    " the last layer of each",
)
CARRIED = by_network(
    "leave what is carried as it is (--set network.connection=Additive)",
    module="leave what is carried as it is, x + branch(x), with nothing on x",
)
RECTIFIER = for_all("take ReLU or GELU in place of a sigmoid or an unscaled tanh")
CLIP = by_training(
    "clipping (--set strategy.clip_norm=1) holds the steps back but leaves the cause",
    module="clipping, nn.utils.clip_grad_norm_(model.parameters(), 1), holds the steps back but"
    " leaves the cause",
)
WARM_UP = by_training(
    "begin with a low rate: --set strategy.schedule=WarmupLinear",
    module="begin with a low rate, which grows to the full one over the first twentieth of the"
    " steps: torch.optim.lr_scheduler.LinearLR",
)


def exploding(signal: Measurement, *, normed: bool = False) -> Cure:
    """Say what stops the growth.

    Args:
        signal: The measurement of that name.
        normed: Whether every block holds a norm, of whatever kind.
    """
    normed = normed or any("BatchNorm" in theory.name for theory in signal.theories)
    if _plain(signal):
        return joined((SKIP, CLIP) if normed else (HE, SKIP, CLIP))
    ways = (SCALED, FROM_ZERO) if normed else (SCALED, FROM_ZERO, NORM)
    return joined((joined(ways, by="; or "), CLIP))


def vanishing(signal: Measurement) -> Cure:
    """Say what keeps the gradient, or the signal, alive."""
    return joined((SKIP, RECTIFIER, HE) if _plain(signal) else (CARRIED, HE))


def _plain(signal: Measurement) -> bool:
    """Whether the blocks have no skips; unknown blocks are treated as such."""
    return not any(name.startswith("distance to residual") for name in signal.figures)
