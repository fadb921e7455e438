"""Averaged weights: the share of the newest weights in the average, as a function of the step."""

from abc import ABC, abstractmethod
from dataclasses import dataclass


class Averaging(ABC):
    """The frozen choice of an average over the weights of the steps taken."""

    @abstractmethod
    def share(self, step: int, steps: int) -> float:
        """Give the newest weights' share after update ``step`` (counted from 1) of ``steps``."""


@dataclass(frozen=True, kw_only=True)
class EMA(Averaging):
    """Exponential moving average: a ← d·a + (1 − d)·w, with d = min(decay, (1 + t) / (10 + t)).

    The second term lets the average follow quickly at first, when the weights are far from where
    they end.

    Args:
        decay: Memory: about 1 / (1 − decay) steps.

    Source: Polyak, Juditsky (1992) for averaging; the warm-up is that of TensorFlow's
    ``ExponentialMovingAverage``.
    """

    decay: float = 0.998

    def __post_init__(self):
        if not 0 < self.decay < 1:
            raise ValueError(f"decay must lie in (0, 1), got {self.decay}")

    def share(self, step: int, steps: int) -> float:
        """Give 1 − d."""
        return 1 - min(self.decay, (1 + step) / (10 + step))
