"""What mends a network's depth, in the words of this product, chosen by what stands in its way."""

from skipwise.analysis import Measurement

SKIP = (
    "give every block a skip: --set network.connection=Additive, or the residual network of the"
    " same depth (as --network resnet20 is of plain20; in Python"
    " skipwise.networks.Residual(branch))"
)
HE = (
    "draw the weights from He's distribution (skipwise.networks.initialise_he(model)), whose"
    " factor is 1"
)
NORM = "put a norm in every block (--set network.branch=PreActivation)"
SCALED = (
    "scale the branches by the root of the depth: --set network.connection=Additive"
    " --set network.connection.scale_by_depth=0.5"
)
FROM_ZERO = (
    "let them start at zero: --set network.connection.scale=0 --set network.connection.learned=true"
    " (ReZero), or --set network.branch=Fixup"
)
RECTIFIER = "take ReLU or GELU in place of a sigmoid or an unscaled tanh"
CLIP = "clipping (--set strategy.clip_norm=1) holds the steps back but leaves the cause"
WARM_UP = "begin with a low rate: --set strategy.schedule=WarmupLinear"


def exploding(signal: Measurement) -> str:
    """Say what stops the growth."""
    normed = any("BatchNorm" in theory.name for theory in signal.theories)
    if _plain(signal):
        first = SKIP if normed else f"{HE}; {SKIP}"
        return f"{first}; {CLIP}"
    if normed:
        return f"{SCALED}; or {FROM_ZERO}; {CLIP}"
    return f"{SCALED}; or {FROM_ZERO}; or {NORM}; {CLIP}"


def vanishing(signal: Measurement) -> str:
    """Say what keeps the gradient, or the signal, alive."""
    if _plain(signal):
        return f"{SKIP}; {RECTIFIER}; {HE}"
    return f"leave what is carried as it is (--set network.connection=Additive); {HE}"


def _plain(signal: Measurement) -> bool:
    """Whether the blocks have no skips; unknown blocks are treated as such."""
    return not any(name.startswith("distance to residual") for name in signal.figures)
