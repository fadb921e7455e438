"""Limited-memory BFGS, for small problems."""

from dataclasses import dataclass
from typing import Any, ClassVar, final

import torch
from torch.optim import Optimizer

from skipwise.strategies.optimisers.optimiser import Groups, Optimiser, check_positive, same_rates
from skipwise.strategies.optimisers.wrapping import Closure, Wrapping, asked

LARGEST = 500_000  # parameters: each asks for two numbers of history a pair, and a line search
SEARCH = 26  # gradients: that at the start, and as many as torch's search may ask for


@dataclass(frozen=True, kw_only=True)
class LBFGS(Optimiser):
    """w ← w + t·d with d = −H g: H is built from the last pairs of changes, t by a line search.

    The pairs are s = Δw and y = Δg; H is their two-loop recursion from H₀ = (yᵀs/yᵀy)·I, and t
    satisfies the strong Wolfe conditions, f(w + td) ≤ f(w) + 10⁻⁴ t gᵀd and |g(w + td)ᵀd| ≤ 0.9
    |gᵀd|. One step takes several iterations, asks for the gradient in each, and keeps its pairs for
    the next step. Gradients of different batches give pairs without a meaning, so it is for batches
    that are the whole training part, and unchanged from step to step: without augmentation and
    dropout. It has no decay: the line search would not see it. A step moves the weights far, and
    only its first gradient moves BatchNorm's statistics; so evaluated, and kept, is a copy with
    statistics of its own, as with averaged weights.

    Args:
        iterations: Most iterations a step.
        history: How many pairs are kept.
        flat: It stops where no number of the gradient is larger.
        still: It stops where a step, or a change of the loss, is smaller.

    Source: Liu, Nocedal (1989), "On the limited memory BFGS method", algorithm 2.1; torch's form,
    with at most 5/4 as many gradients as iterations, or 26: torch gives a search what is left of
    these, and with one iteration alone it would be none. A search that uses them up ends short.
    """

    can_skip: ClassVar[bool] = False

    iterations: int = 20
    history: int = 10
    flat: float = 1e-7
    still: float = 1e-9

    def remarks(self, size: int, examples: int, steps: int) -> tuple[str, ...]:
        """Say so where batches are not the whole training part."""
        if size >= examples:
            return ()
        return (
            f"L-BFGS takes the gradients of all batches for those of one function, and batches of"
            f" {size} are not; --batch-size {examples} is the whole training part",
        )

    def remarks_on(self, drawn: tuple[str, ...]) -> tuple[str, ...]:
        """Say so where batches change, though they may be the whole training part."""
        if not drawn:
            return ()
        return (
            f"L-BFGS takes all steps for those on one function, and with {' and '.join(drawn)} it"
            " is another one at each; train with --augment none, dropout 0 and no stochastic depth",
        )

    def __post_init__(self):
        super().__post_init__()
        check_positive(
            iterations=self.iterations, history=self.history, flat=self.flat, still=self.still
        )

    @property
    def asks_again(self) -> bool:
        """In each iteration."""
        return True

    def build(self, groups: Groups, *, rate: float) -> Optimizer:
        """Make torch.optim.LBFGS over all groups as one.

        Raises:
            ValueError: If there are too many parameters, or a group has a decay or a rate of its
                own.
        """
        parameters = [p for group in groups for p in group["params"]]
        count = sum(p.numel() for p in parameters)
        if count > LARGEST:
            raise ValueError(
                f"LBFGS is for at most {LARGEST:,} parameters and these are {count:,}; take a"
                " smaller network, or another optimiser"
            )
        if any(group.get("weight_decay") for group in groups):
            raise ValueError("LBFGS has no decay; set strategy.weight_decay=0")
        same_rates(groups, "LBFGS")
        made = torch.optim.LBFGS(
            parameters,
            lr=rate,
            max_iter=self.iterations,
            max_eval=max(self.iterations * 5 // 4, SEARCH),
            history_size=self.history,
            tolerance_grad=self.flat,
            tolerance_change=self.still,
            line_search_fn="strong_wolfe",
        )
        return InOneOrder(made)


@final
class InOneOrder(Wrapping):
    """torch.optim.LBFGS strings gradients together, which it can do in one memory layout only."""

    @torch.no_grad()
    def step(self, closure: Closure | None = None) -> Any:
        """Take one step; give the loss before it.

        Raises:
            TypeError: If there is no closure to ask for the gradients.
        """
        if closure is None:
            raise TypeError("this rule asks for the gradient again; call step with a closure")

        def ordered() -> Any:
            loss = asked(closure)
            for parameter in self.parameters:
                if parameter.grad is not None:
                    parameter.grad = parameter.grad.contiguous()
            return loss

        return self.base.step(ordered)
