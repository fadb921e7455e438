"""The guard against explosion: skips steps, and returns to an earlier state where that is no help.

What it remembers (norms and losses of the last steps, copies of earlier states, how often it
returned) is state of the run, so a run that is resumed skips and returns as one that was not. The
step counter never goes back: batches, rates and the journal go on, only the weights return.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from statistics import median
from typing import Any, final

import torch
from torch import Tensor
from torch.nn.utils import get_total_norm

from skipwise.data import Batch
from skipwise.strategies import Guard
from skipwise.training.policies.origin import NOWHERE, first_broken, loss_with, origin
from skipwise.training.run import Run, Skipped, statistics_of

TO_DEVIATION = 1.4826  # of a median absolute deviation, for normal numbers
RECENT = 10  # steps; a norm that grows from step to step is told by the loss
NOTHING = -80.0  # stands for the logarithm of zero
LEARNED = 1e-3  # with a loss below, a gradient of zero is no harm
LEAST_DEVIATION = 0.1  # of the logarithm: norms that hardly vary accuse none
RISE = 1.5  # of the loss, soon after a return: the rate is too high still


@dataclass(kw_only=True)
class History:
    """What the steps that were taken looked like.

    Args:
        guard: What counts as an explosion.
        log_norms: Of the last ``window`` steps.
        losses: Likewise.
        first_norms: log n of the first ``settling`` steps.
        first_loss: Of the first step.
    """

    guard: Guard
    log_norms: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    first_norms: list[float] = field(default_factory=list)
    first_loss: float = math.nan

    def problem(self, loss: float, norm: float) -> str:
        """Say what is wrong with a step before it is taken; nothing if all is well."""
        if not math.isfinite(loss):
            return f"its loss is {loss}"
        if not math.isfinite(norm):
            return f"its gradient has the norm {norm}"
        if len(self.first_norms) < self.guard.settling or norm == 0:
            return ""
        usual = median(self.log_norms)
        deviation = TO_DEVIATION * median(abs(n - usual) for n in self.log_norms)
        far = math.log(norm) - usual > self.guard.sigmas * max(deviation, LEAST_DEVIATION)
        largest_usual = max(usual, median(self.first_norms), *self.log_norms[-RECENT:])
        if far and math.log(norm) > largest_usual + math.log(self.guard.ratio):
            return (
                f"its gradient has the norm {norm:.3g}, where {math.exp(usual):.3g} was usual in"
                f" the last {len(self.log_norms)} steps"
            )
        return ""

    def add(self, loss: float, norm: float) -> None:
        """Take in a step that was taken."""
        log_norm = max(math.log(norm), NOTHING) if norm > 0 else NOTHING
        self.log_norms = [*self.log_norms, log_norm][-self.guard.window :]
        self.losses = [*self.losses, loss][-self.guard.window :]
        if len(self.first_norms) < self.guard.settling:
            self.first_norms = [*self.first_norms, log_norm]
        if math.isnan(self.first_loss):
            self.first_loss = loss

    def damage(self) -> str:
        """Say what the last steps did to the network: it died, or its loss has exploded."""
        count = self.guard.patience
        if len(self.losses) < count:
            return ""
        now = median(self.losses[-count:])
        zeros = sum(n == NOTHING for n in self.log_norms[-2 * count :])
        if zeros >= count and now > LEARNED:
            return f"the gradient was zero in {zeros} of the last steps, so hardly a unit is active"
        if len(self.losses) < 2 * count:
            return ""
        usual = max(1.0, self.first_loss, median(self.losses))
        if now > self.guard.ratio * usual:
            return f"the loss of the last {count} steps is {now:.3g}, where {usual:.3g} was usual"
        return ""

    def rose(self) -> bool:
        """Whether the last loss is far above all that are remembered; not where none is."""
        largest = max(1.0, *self.losses[:-1], 0.0)
        return len(self.losses) > 1 and self.losses[-1] > RISE * largest

    def state(self) -> dict[str, Any]:
        """Give what a checkpoint must hold."""
        return {
            "log_norms": list(self.log_norms),
            "losses": list(self.losses),
            "first_norms": list(self.first_norms),
            "first_loss": self.first_loss,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take up a state."""
        self.log_norms, self.losses = list(state["log_norms"]), list(state["losses"])
        self.first_norms, self.first_loss = list(state["first_norms"]), state["first_loss"]


@final
class Guarding:
    """Decides about every step of a run.

    Several processes decide alike, since loss and norm are those of all.

    Args:
        run: The run; its weights, optimiser, average and rate are changed by a return.
        guard: What is refused, and what is done about it.
    """

    def __init__(self, run: Run, guard: Guard):
        self.run, self.guard = run, guard
        self.history = History(guard=guard)
        self.returns, self.skipped, self.refused = 0, 0, 0  # skipped: in a row; refused: in all
        self._kept: list[dict[str, Any]] = []
        self._taken = 0  # when a state was kept last
        self.returned_at = 0  # the step after which it returned last
        self._buffers: list[Tensor] = []
        self._now, self._loss = (math.nan, math.nan), torch.zeros(())
        self._first = ""  # what was said of the first of the steps skipped in a row

    def begin(self) -> None:
        """Get ready for a step: remember the buffers, which its forward pass may write."""
        if not self._kept:
            self._keep()
        self._buffers = [buffer.clone() for buffer in self.run.model.buffers()]

    def check(self, loss: Tensor, norm: Tensor, *, first: bool = True) -> None:
        """Refuse a step that would do harm; this waits for the device.

        Args:
            loss: Of the batch, shape ``()``.
            norm: Of the gradient before it is transformed, shape ``()``.
            first: Whether they are of the step's own weights; a later gradient, at other weights,
                is judged by the same history and does not enter it.

        Raises:
            Skipped: If the step is refused.
        """
        values = torch.stack([loss.detach().double(), norm.detach().double()]).tolist()
        if first:
            self._now, self._loss = (values[0], values[1]), loss.detach()
        problem = self.history.problem(*values)
        if problem:
            raise Skipped(problem, self._loss)

    def after(self, batch: Batch, skipped: Skipped | None) -> tuple[str, ...]:
        """Act on a step that was counted, and say what was done.

        Args:
            batch: The step's batch.
            skipped: Why it was refused; None if it was taken.

        Raises:
            Diverged: If there were too many returns.
        """
        return tuple(self._after_update(batch) if skipped is None else self._skip(batch, skipped))

    def _skip(self, batch: Batch, skipped: Skipped) -> Iterator[str]:
        run = self.run
        with torch.no_grad():
            for buffer, kept in zip(run.model.buffers(), self._buffers, strict=True):
                buffer.copy_(kept)
        self.skipped, self.refused = self.skipped + 1, self.refused + 1
        if self.skipped == 1:
            earlier = self._earlier(run.step)
            where = origin(run, batch, earlier["model"], f"after step {earlier['step']}")
            self._first = (
                f"step {run.step} was skipped, since {skipped.reason}; it began in {where}"
            )
            yield self._first
        if self.skipped >= self.guard.patience:
            count, first = self.skipped, run.step - self.skipped + 1
            yield from self.turn_back(f"{count} steps in a row were skipped", began=first)

    def _after_update(self, batch: Batch) -> Iterator[str]:
        run = self.run
        self.skipped = 0
        self.history.add(*self._now)
        if self._is_broken():
            where = first_broken(run.model)
            where = run.world.surest(where != NOWHERE, where)
            reason = f"the update of step {run.step} left numbers that are not finite in {where}"
            yield from self.turn_back(reason)
        elif damage := self.history.damage():
            first = run.step - self.guard.patience + 1
            earlier = self._earlier(first)
            where = origin(run, batch, earlier["model"], f"after step {earlier['step']}")
            yield from self.turn_back(f"{damage}; it began in {where}", began=first)
        elif self._is_fresh() and self.history.rose() and (rise := self._rise(batch)):
            yield from self.turn_back(rise, began=self.returned_at)
        elif run.step - self._taken >= self.guard.every:
            self._keep()

    def _is_fresh(self) -> bool:
        """Whether it returned lately, and may do so again."""
        if not 0 < self.returns < self.guard.returns:
            return False
        return self.run.step - self.returned_at <= self.guard.settling

    def _rise(self, batch: Batch) -> str:
        """Say that a batch's loss rose beside that of the state to return to, for some are hard."""
        now, earlier = self._now[0], self._earlier(self.returned_at)
        before = loss_with(self.run, batch, earlier["model"])
        if not now > RISE * before:
            return ""
        where = f"after step {earlier['step']}"
        return (
            f"the loss is {now:.3g} soon after a return, where the state {where} has {before:.3g}"
        )

    def _is_broken(self) -> bool:
        """Whether a weight or a running statistic is not finite, in any process.

        Each process has statistics of its own; a square of theirs may be too large for a float.
        """
        run = self.run
        size = get_total_norm([p.detach() for p in run.model.parameters()])
        largest = get_total_norm(statistics_of(run.model).values(), norm_type=math.inf)
        broken = ~(size.isfinite() & largest.isfinite())
        return run.world.largest(bool(broken)) == (1,)

    def turn_back(self, reason: str, *, began: int | None = None) -> Iterator[str]:
        """Return to an earlier state with a lower rate, and say so.

        Args:
            reason: What is wrong, in words.
            began: The first step that the trouble was seen at; the last one if None.

        Raises:
            Diverged: If there were too many returns.
        """
        run = self.run
        if self.returns >= self.guard.returns:
            said = f"{reason} ({self._first})" if self.skipped else reason
            raise run.diverged(self._now[0], said)
        chosen = self._earlier(run.step if began is None else began)
        scale = run.rate_scale * self.guard.factor
        run.restore(_copied({**chosen, "step": run.step, "steps": run.steps, "rate_scale": scale}))
        self.history.restore(chosen["history"])
        self._kept = [state for state in self._kept if state["step"] <= chosen["step"]]
        self.returns, self.skipped, self._taken = self.returns + 1, 0, run.step
        self.returned_at = run.step
        said = f"{reason}; the run returned to its state after step {chosen['step']} and"
        if run.step >= run.steps:
            yield f"{said} ends there, since no step is left; make it longer"
        else:
            slower = f"{scale:.3g} times the rate of its schedule"
            yield f"{said} goes on with the next batch and {slower}"

    def _earlier(self, began: int) -> dict[str, Any]:
        """Give the newest state that is older than a trouble, or the oldest there is."""
        old = [s for s in self._kept if s["step"] <= began - 1 - self.guard.age]
        return old[-1] if old else self._kept[0]

    def _keep(self) -> None:
        state = {**self.run.training_state(), "history": self.history.state()}
        self._kept = [*self._kept, _copied(state)][-self.guard.kept :]
        self._taken = self.run.step

    def notes(self) -> tuple[str]:
        """Say at the end of a run what was done."""
        if not self.refused and not self.returns:
            return ("the guard found nothing: it skipped no step",)
        back = f" and returned to an earlier state {_times(self.returns)}" if self.returns else ""
        return (f"the guard skipped {self.refused} of {self.run.step} steps{back}",)

    def state(self) -> dict[str, Any]:
        """Give what a checkpoint must hold."""
        return {
            "history": self.history.state(),
            "kept": self._kept,
            "taken": self._taken,
            "returns": self.returns,
            "skipped": self.skipped,
            "first": self._first,
            "refused": self.refused,
            "returned_at": self.returned_at,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take up a state."""
        self.history.restore(state["history"])
        self._kept, self._taken = list(state["kept"]), state["taken"]
        self.returns, self.skipped = state["returns"], state["skipped"]
        self.refused, self._first = state.get("refused", 0), state.get("first", "")
        self.returned_at = state.get("returned_at", 0)


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def guarded(run: Run, *, is_new: bool = True) -> Run:
    """Give a run the guard of its strategy, if there is one.

    Raises:
        ValueError: If the parts of the strategy do not go with parameters that are cut into shares,
            or the guard of a new run could not act.
    """
    strategy = run.strategy
    parts = {
        "guard": strategy.guard is not None,
        "gradient": bool(strategy.gradient),
        "freezing": strategy.freezing is not None,
    }
    named = [name for name, is_there in parts.items() if is_there]
    if run.is_sharded and named:
        raise ValueError(
            f"shard and strategy.{named[0]} do not go together: it needs whole parameters; leave"
            " one of them out (strategy.clip_norm does without)"
        )
    if strategy.guard is not None:
        if is_new:
            strategy.guard.check_reach()
        run.guard = Guarding(run, strategy.guard)
    return run


def _copied(tree: Any) -> Any:
    """Copy a tree of dictionaries and lists down to its tensors, so that nothing is shared."""
    if isinstance(tree, dict):
        return {name: _copied(value) for name, value in tree.items()}
    if isinstance(tree, list | tuple):
        return type(tree)(_copied(value) for value in tree)
    return tree.detach().clone() if isinstance(tree, Tensor) else tree
