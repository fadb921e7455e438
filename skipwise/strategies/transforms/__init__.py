"""What happens to a gradient before the update.

Takes gradients with the state of the step before, gives them changed with the state that follows.
"""

from skipwise.strategies.transforms.adaptive import AdaptiveClipping, unit_norms
from skipwise.strategies.transforms.centralisation import Centralisation
from skipwise.strategies.transforms.chain import Chain, check_order
from skipwise.strategies.transforms.clipping import AutoClip, ClipNorm, ZClip
from skipwise.strategies.transforms.noise import GradientNoise
from skipwise.strategies.transforms.transform import Applied, GradientTransform, Learning, State

__all__ = [
    "AdaptiveClipping",
    "Applied",
    "AutoClip",
    "Centralisation",
    "Chain",
    "ClipNorm",
    "GradientNoise",
    "GradientTransform",
    "Learning",
    "State",
    "ZClip",
    "check_order",
    "unit_norms",
]
