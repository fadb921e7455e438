"""The transforms of a run, with their states, and how often they clipped."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, final

import torch
from torch import Tensor

from skipwise.strategies.transforms.transform import GradientTransform, Learning, State

HIDDEN = 0.5  # from this share of clipped steps on a clip decides the step's length


def check_order(transforms: Sequence[GradientTransform]) -> None:
    """See that the transforms stand in the one order that makes sense.

    Raises:
        ValueError: If they do not, or one stands twice.
    """
    for first, second in pairwise(transforms):
        if first.place >= second.place:
            ours, theirs = type(first).__name__, type(second).__name__
            why = (
                "stands twice"
                if ours == theirs
                else f"and {theirs} exclude each other"
                if first.place == second.place
                else f"must come after {theirs}"
            )
            raise ValueError(
                f"strategy.gradient: {ours} {why}; the order is centralise, clip unit by unit,"
                " clip the whole (ZClip or AutoClip, then ClipNorm), add noise"
            )


@final
class Chain:
    """Applies transforms one after the other.

    ``acted`` says whether one of them shortened the last gradient, or a unit's, shape ``()``; None
    where none clips.

    Args:
        transforms: In their order.
    """

    def __init__(self, transforms: Sequence[GradientTransform]):
        self.transforms = tuple(transforms)
        self._states: list[State] = [dict(t.begin()) for t in self.transforms]
        self._following = self._states
        self._clipped, self._counted = torch.zeros(()), 0
        self._last: Tensor | None = None
        self.acted: Tensor | None = None

    def apply(self, learning: Sequence[Learning], norm: Tensor, step: int) -> None:
        """Change the gradient in place; what follows for the states waits for :meth:`keep`."""
        following, clipped, acted = [], None, None
        for transform, state in zip(self.transforms, self._states, strict=True):
            own = {name: value.to(norm.device) for name, value in state.items()}
            applied = transform.apply(learning, norm, own, step)
            norm = applied.norm
            following.append(applied.state)
            acted = _either(acted, applied.clipped)
            if not transform.clips_units:
                clipped = _either(clipped, applied.clipped)
        self._following, self._last, self.acted = following, clipped, acted

    def keep(self) -> None:
        """Take over the states that follow the last call, once an update was taken."""
        self._states = self._following
        if self._last is not None:
            self._clipped = self._clipped.to(self._last.device) + self._last
            self._counted += 1
            self._last = None

    def notes(self) -> tuple[str, ...]:
        """Say how often the whole gradient was shortened; waits for the device."""
        if not self._counted:
            return ()
        share = self._clipped.item() / self._counted
        said = f"the clip acted in {share:.0%} of the steps".replace("%", " %")
        hidden = ": it is a hidden learning rate, since it decides how long most updates are"
        return (said + hidden if share > HIDDEN else said,)

    def state(self) -> dict[str, Any]:
        """Give what a checkpoint must hold."""
        return {
            "states": [dict(state) for state in self._states],
            "kinds": [type(transform).__name__ for transform in self.transforms],
            "clipped": self._clipped,
            "counted": self._counted,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up a state; a transform that is not in it begins anew."""
        kinds = state.get("kinds") or [type(t).__name__ for t in self.transforms]
        kept = dict(zip(kinds, state["states"], strict=False))
        self._states = [
            dict(kept.get(type(transform).__name__, own))
            for transform, own in zip(self.transforms, self._states, strict=True)
        ]
        self._following = self._states
        self._clipped, self._counted = state["clipped"], state["counted"]


def _either(first: Tensor | None, second: Tensor | None) -> Tensor | None:
    if first is None or second is None:
        return second if first is None else first
    return first | second
