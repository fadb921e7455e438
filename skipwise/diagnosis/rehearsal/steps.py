"""Some real steps on a copy of a model and its optimiser.

What an optimiser does to the weights cannot be read off a gradient: it is measured where it
happens. The caller's model, optimiser and random numbers stay as they are.
"""

import math
from collections import deque
from collections.abc import Iterable, Mapping
from time import perf_counter
from typing import Any, cast, final

import torch
from torch import Tensor, nn
from torch.optim import SGD, Optimizer

from skipwise.analysis import Measurement, Problem, pose, step_quality
from skipwise.analysis.batches import batches_of
from skipwise.analysis.curvature.optimiser import kind_of
from skipwise.analysis.problem import uncompiled
from skipwise.diagnosis.rehearsal.copying import copied
from skipwise.diagnosis.rehearsal.moves import Moved, Rehearsal, middle
from skipwise.randomness import seeded

LOOK = 8  # what one measured step costs, in steps: three gradients, a Hessian's product, losses


def rehearse(
    model: nn.Module,
    batches: Any,
    loss: Any,
    optimiser: Optimizer,
    *,
    steps: int = 20,
    seconds: float = 10.0,
    look: int = 3,
    seed: int = 0,
) -> Rehearsal:
    """Take steps on a copy of a model and its optimiser, as training would.

    In training mode, with the rates that the groups have now and no schedule or clipping; the
    batches are taken in turn. It ends early where a loss or a weight is not finite any more, or
    where another step would take it beyond its time: at least one step is taken.

    Args:
        model: Any module.
        batches: A pair (inputs, targets), or several.
        loss: ``(output, targets) → mean over the batch``; the cross-entropy if None.
        optimiser: The one that trains the model, of any kind that torch's loops can drive.
        steps: At most so many.
        seconds: For everything, the copy included.
        look: So many of the last steps are held against their parabolas.
        seed: Of random layers.

    Raises:
        TypeError: If the optimiser is none of torch's kind.
        ValueError: If it holds no parameter of the model, they cannot be copied, steps or seconds
            are not positive, or the model and batches are refused (see ``analysis.pose``).
    """
    started = perf_counter()
    _check(optimiser, steps, seconds)
    model = uncompiled(model)
    with seeded(seed, "rehearsal"), torch.inference_mode(False), torch.enable_grad():
        twin, rule = copied(model, optimiser)
        if not twin.training:  # else frozen parts keep their modes
            twin.train()
        problems = [pose(twin, batch, loss) for batch in batches_of(batches)]
        walk = _Walk(twin, rule, look)
        while walk.taken < steps and not walk.broke:
            if walk.taken and not walk.affords(seconds - (perf_counter() - started), seconds):
                break
            walk.step(problems[walk.taken % len(problems)])
        walk.look_back(until=started + seconds)
    return walk.told(seconds=perf_counter() - started)


def _check(optimiser: Any, steps: int, seconds: float) -> None:
    if not isinstance(optimiser, Optimizer):
        raise TypeError(
            f"optimiser must be a torch.optim.Optimizer, got {type(optimiser).__name__}; build the"
            " one that trains the model"
        )
    if steps < 1 or not seconds > 0:
        raise ValueError(f"steps and seconds must be positive, got {steps} and {seconds}")


@final
class _Walk:
    """Steps that are being taken on a copy, and the notes on them."""

    def __init__(self, model: nn.Module, rule: Optimizer, look: int):
        self.model, self.rule = model, rule
        groups = {id(p): group for group in rule.param_groups for p in group["params"]}
        named = ((n, p) for n, p in model.named_parameters() if p.requires_grad and p.numel())
        self.held = {n: (p, groups[id(p)]) for n, p in named if id(p) in groups}
        if not self.held:
            raise ValueError(
                "the optimiser holds no parameter of this model; pass the one that trains it"
            )
        self.lengths = [_length(p).item() for p, _ in self.held.values()]
        self.losses: list[float] = []
        self.numbers: list[list[list[float]]] = []  # by step, by parameter: ratio, unmoved, RMS
        self.look = look
        self.kept: deque[tuple[Problem, dict[str, Tensor]]] = deque(maxlen=look)
        self.seen: list[Measurement] = []
        self.broke, self.slowest = "", 0.0

    @property
    def taken(self) -> int:
        return len(self.losses)

    def affords(self, left: float, seconds: float) -> bool:
        """Whether there is time for one more step, and to look back; half is for steps alone."""
        reserve = self.slowest * (1 + self.look * LOOK)
        return left > self.slowest and (left > reserve or left > 0.5 * seconds)

    def step(self, problem: Problem) -> None:
        """Take one."""
        started = perf_counter()
        before = {n: p.detach().clone() for n, p in self.model.named_parameters()}
        self.losses.append(_step(self.rule, problem))
        pairs = [_numbers(before[name], p) for name, (p, _) in self.held.items()]
        numbers = torch.stack([pair.cpu() for pair in pairs]).tolist()
        self.numbers.append(numbers)
        wild = [name for name, row in zip(self.held, numbers, strict=True) if math.isinf(row[0])]
        self.broke = "" if math.isfinite(self.losses[-1]) else "the loss"
        self.broke = self.broke or (wild[0] if wild else "")
        self.kept.append((problem, before))
        self.slowest = max(self.slowest, perf_counter() - started)

    def look_back(self, until: float) -> None:
        """Hold the last steps against their parabolas, the newest first, while there is time."""
        after: dict[str, Tensor] = {n: p.detach() for n, p in self.model.named_parameters()}
        longest, after = LOOK * self.slowest, {n: p.clone() for n, p in after.items()}
        while self.kept and not self.broke and perf_counter() + longest < until:
            started = perf_counter()
            problem, before = self.kept.pop()
            batch = problem.inputs, problem.targets
            try:
                quality = step_quality(self.model, batch, problem.loss, before=before, after=after)
            except ValueError:  # a step of no length, or a loss that cannot be derived twice
                return
            self.seen.insert(0, quality)
            after, longest = before, perf_counter() - started

    def told(self, *, seconds: float) -> Rehearsal:
        """Give it all in plain numbers."""
        columns = zip(*self.numbers, strict=True)
        return Rehearsal(
            losses=tuple(self.losses),
            moved={
                name: _moved(rows, length, *held, self.rule)
                for (name, held), length, rows in zip(
                    self.held.items(), self.lengths, columns, strict=True
                )
            },
            alphas=tuple(each["alpha"][0] for each in self.seen),
            given=tuple(each["given"][0] for each in self.seen),
            promised=tuple(each["promised"][0] for each in self.seen),
            broke=self.broke,
            rate=largest_rate(group for _, group in self.held.values()),
            optimiser=type(self.rule).__name__,
            seconds=seconds,
        )


def largest_rate(groups: Iterable[Mapping[str, Any]]) -> float:
    """Give the largest rate of an optimiser's groups, each without its own factor on the rate.

    So it can be held against the rates of a schedule, which know of no factors.
    """
    return max(float(group["lr"]) / float(group.get("factor", 1.0)) for group in groups)


def _step(rule: Optimizer, problem: Problem) -> float:
    """Take one step; give the loss before it."""
    found: list[float] = []

    def closure() -> Tensor:
        rule.zero_grad()
        value = problem.number()
        found.append(value.item())
        value.backward()
        return value

    rule.step(cast(Any, closure))  # torch annotates the loss as a float
    return found[0]


def _length(tensor: Tensor) -> Tensor:
    return torch.linalg.vector_norm(tensor.detach().double())


def _numbers(before: Tensor, parameter: nn.Parameter) -> Tensor:
    """Give the ratio, infinite if anything is not finite, NaN of zero; unmoved; gradient's RMS."""
    now, length = parameter.detach(), _length(before)
    change = _length(now.double() - before.double()).nan_to_num(math.inf, posinf=math.inf)
    gradient = parameter.grad
    if gradient is None:
        unmoved, size = torch.full_like(length, math.nan), torch.zeros_like(length)
    else:
        dense = gradient.detach().to_dense() if gradient.is_sparse else gradient.detach()
        pushed = dense != 0
        unmoved = ((now == before) & pushed).sum() / pushed.sum()
        size = dense.double().square().mean().sqrt()
    ratio = torch.where(length > 0, change / length, math.nan)
    return torch.stack([torch.where(torch.isinf(change), change, ratio), unmoved.double(), size])


def _moved(
    rows: tuple[list[float], ...],
    length: float,
    parameter: nn.Parameter,
    group: dict[str, Any],
    rule: Optimizer,
) -> Moved:
    descent = kind_of(rule) is SGD
    return Moved(
        ratios=tuple(ratio for ratio, *_ in rows),
        length=length,
        dimensions=parameter.dim(),
        dtype=str(parameter.dtype).removeprefix("torch."),
        unmoved=middle(tuple(unmoved for _, unmoved, _ in rows)),
        gradient=middle(tuple(size for *_, size in rows)),
        rate=float(group["lr"]),
        momentum=float(group["momentum"]) if descent else math.nan,
        decay=float(group["weight_decay"]) if descent else math.nan,
        mastered=_mastered(parameter, rule),
    )


def _mastered(parameter: nn.Parameter, rule: Optimizer) -> bool:
    """Whether the optimiser's state holds the parameter itself, in more digits."""
    kept = rule.state.get(parameter, {})
    return any(
        isinstance(value, Tensor)
        and value.shape == parameter.shape
        and value.is_floating_point()
        and torch.finfo(value.dtype).eps < torch.finfo(parameter.dtype).eps
        and torch.equal(value.to(parameter.dtype), parameter.detach())
        for value in kept.values()
    )
