"""Up to which curvature a rule of optimisation is stable, from plain numbers.

On a parabola of curvature λ every rule here is linear: with b the momentum, d the dampening, η the
rate and w the decoupled decay,

    v ← b·v + (1 − d)·λ·θ        θ ← (1 − η·w)·θ − η·v            (Nesterov: v replaced by λθ + b·v)

and the iteration grows as soon as an eigenvalue of its matrix passes −1, that is for

    λ > (1 + b)·(2/η − w) / ((1 − d)·(1 + 2b if Nesterov else 1)).

Gradient descent: 2/η. Heavy ball: (2 + 2b)/η. Nesterov: (2 + 2b)/(η(1 + 2b)). A momentum that is an
average (d = b), as in Adam: (2 + 2b)/((1 − b)η), which for b = 0.9 is 38/η; for Adam it bounds the
eigenvalues of P⁻¹H with P the preconditioner.

Source: Cohen et al. (2021), "Gradient descent on neural networks typically occurs at the edge of
stability", and (2022), "Adaptive gradient methods at the edge of stability". Differs: the decay is
ours, by the same calculation.
"""

from dataclasses import dataclass

from skipwise.analysis.spectra.operator import Flat


@dataclass(frozen=True, kw_only=True)
class Rule:
    """How an optimiser turns gradients into a step.

    A weight decay *inside* the gradient is no part of it: it adds to the curvature.

    Args:
        rate: η.
        momentum: b.
        dampening: d; equal to the momentum where this is an average of gradients.
        nesterov: Whether the step looks ahead.
        decay: w, the decoupled weight decay, multiplied by the rate as in AdamW.
    """

    rate: float
    momentum: float = 0.0
    dampening: float = 0.0
    nesterov: bool = False
    decay: float = 0.0

    def __post_init__(self):
        if self.rate <= 0:
            raise ValueError(f"rate must be positive, got {self.rate}: without it nothing moves")
        if not 0 <= self.momentum < 1 or not 0 <= self.dampening < 1:
            raise ValueError(
                "momentum and dampening must lie in [0, 1), got"
                f" {self.momentum} and {self.dampening}"
            )
        if self.nesterov and (self.dampening or not self.momentum):
            raise ValueError("Nesterov's rule needs a momentum and no dampening")

    @property
    def limit(self) -> float:
        """The largest stable curvature.

        >>> Rule(rate=0.1).limit, Rule(rate=0.1, momentum=0.9).limit
        (20.0, 38.0)
        """
        b = self.momentum
        ahead = 1 + 2 * b if self.nesterov else 1.0
        return (1 + b) * (2 / self.rate - self.decay) / ((1 - self.dampening) * ahead)


def adam_preconditioner(
    second_moment: Flat, *, step: int, beta1: float, beta2: float, epsilon: float
) -> Flat:
    """Give P's diagonal: Adam's step is that of averaged momentum on ``P⁻¹·gradient``.

    ``P = (1 − β₁ᵗ)·(√(v/(1 − β₂ᵗ)) + ε)``.

    Args:
        second_moment: v, as the optimiser keeps it, before its correction.
        step: t, how many steps were taken, at least 1.
        beta1: Of the momentum.
        beta2: Of the second moment.
        epsilon: ε.

    Raises:
        ValueError: If no step was taken, which leaves v empty.

    Source: Cohen et al. (2022), section 2; Kingma and Ba (2015), algorithm 1.
    """
    if step < 1:
        raise ValueError("Adam has no preconditioner before its first step; measure after it")
    corrected = second_moment / (1 - beta2**step)
    return (1 - beta1**step) * (corrected.sqrt() + epsilon)
