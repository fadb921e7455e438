"""What passes through a model while it runs, whatever its modules are: activations, blocks.

Activations are seen where torch computes them, so ``functional.relu`` counts like ``nn.ReLU``, and
a module that is used twice counts twice. Which axis holds the units follows from the layer before:
a linear map or LayerNorm leaves them last, a convolution or BatchNorm second.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from skipwise.analysis.problem import Problem
from skipwise.analysis.reasons import Unmeasurable

# Zero on a half-line, with the gradient zero there too.
RECTIFIERS = ("relu", "relu_", "hardtanh", "hardtanh_", "threshold", "threshold_")
SMOOTH = (
    *("gelu", "silu", "mish", "elu", "celu", "selu", "leaky_relu", "hardswish", "softplus"),
    *("tanh", "sigmoid", "hardsigmoid", "_prelu_kernel", "rrelu_with_noise"),
)
UNITS_SECOND = ("convolution", "batch_norm", "group_norm")
UNITS_LAST = ("addmm", "mm", "linear", "layer_norm", "rms_norm", "embedding")

SUM, SILENT_NORM = "sum", "norm whose scale is zero"  # what an activation may stand behind
See = Callable[[str, bool, str, Float[Tensor, "examples positions units"]], None]
Names = Callable[[], str]


@final
class Watching(TorchDispatchMode):
    """Tell of each activation that is computed inside: name, whether it rectifies, origin, values.

    The origin is what made its input: a sum of two tensors of one shape, a norm whose scale is
    zero, or nothing of note.

    Args:
        name: Gives the name of the module that is running.
        see: Called with values of shape ``(examples, positions, units)``; None watches for the
            axis only.
    """

    def __init__(self, name: Names, see: See | None = None):
        super().__init__()
        self.name, self.see = name, see
        self.axis = 1
        self.calls: Counter[str] = Counter()
        self.origins: dict[int, str] = {}  # by memory, which the next operation may overwrite

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        origin = self.origins.get(_memory(args[0]), "") if args else ""
        output = func(*args, **(kwargs or {}))
        operation = func._schema.name.removeprefix("aten::")
        if self.see is not None and not func.is_view:
            self.origins[_memory(output)] = _origin(operation, args)
        if any(word in operation for word in UNITS_SECOND):
            self.axis = 1
        elif any(word in operation.split("_backward")[0] for word in UNITS_LAST):
            self.axis = -1
        elif self.see is not None and isinstance(output, Tensor) and output.dim() > 1:
            rectifies = operation in RECTIFIERS and _from_zero(operation, args)
            if rectifies or operation.removesuffix("_") in (*SMOOTH, *RECTIFIERS):
                self._tell(self.see, rectifies, origin, output)
        return output

    def _tell(self, see: See, rectifies: bool, origin: str, output: Tensor) -> None:
        name = self.name()
        self.calls[name] += 1
        label = f"{name} ({self.calls[name]})" if self.calls[name] > 1 else name
        see(label, rectifies, origin, by_unit(output.detach(), self.axis))


def _memory(value: Any) -> int:
    """Give where a tensor lies, or the first of several; 0 for what has no memory of that kind."""
    first = value[0] if isinstance(value, tuple | list) and value else value
    if not isinstance(first, Tensor) or first.layout is not torch.strided:
        return 0
    return first.data_ptr()


def _origin(operation: str, args: Sequence[Any]) -> str:
    two = len(args) > 1 and isinstance(args[0], Tensor) and isinstance(args[1], Tensor)
    if two and operation in ("add", "add_") and args[0].shape == args[1].shape:
        return SUM
    scaled = two and ("batch_norm" in operation or "group_norm" in operation)
    return SILENT_NORM if scaled and not bool(args[1].any()) else ""


def _from_zero(operation: str, args: Sequence[Any]) -> bool:
    """Whether a clamp begins at zero, as ReLU6 does and Hardtanh does not."""
    if operation.startswith("hardtanh"):
        return len(args) > 1 and args[1] == 0
    if operation.startswith("threshold"):
        return len(args) > 2 and args[1] == args[2] == 0
    return True


def by_unit(
    values: Float[Tensor, " examples *axes"], axis: int
) -> Float[Tensor, "examples positions units"]:
    """Bring the units to the end and join all positions."""
    moved = values.movedim(axis, -1)
    return moved.reshape(len(moved), -1, moved.shape[-1])


@contextmanager
def watched(model: nn.Module, see: See | None = None) -> Iterator[Watching]:
    """Watch activations while the model runs; fused attention, which hides them, is off."""
    path: list[str] = []
    watching = Watching(lambda: path[-1] if path else "the model", see)

    def enter(name: str) -> Callable[..., None]:
        return lambda module, args: path.append(name)

    def leave(module: nn.Module, args: Any, output: Any) -> None:
        path.pop()

    fused = torch.backends.mha.get_fastpath_enabled()
    with ExitStack() as stack:
        for name, module in model.named_modules():
            stack.callback(module.register_forward_pre_hook(enter(name or "the model")).remove)
            stack.callback(module.register_forward_hook(leave, always_call=True).remove)
        stack.callback(torch.backends.mha.set_fastpath_enabled, fused)
        torch.backends.mha.set_fastpath_enabled(False)
        stack.enter_context(watching)
        yield watching


SeeState = Callable[[str, Float[Tensor, "examples positions units"]], None]


def run_and_see(problem: Problem, names: Sequence[str], see: SeeState) -> None:
    """Compute a model's output and show what each named module gives, with its units last.

    Args:
        problem: Model and batch.
        names: Of modules, each of which is run once.
        see: Called in the order in which they run.

    Raises:
        ValueError: If one of them never runs, runs twice, or gives no tensor.
    """
    seen: Counter[str] = Counter()
    with watched(problem.model) as watching, torch.no_grad(), ExitStack() as hooks:

        def show(name: str) -> Callable[..., None]:
            def after(module: nn.Module, args: Any, output: Any) -> None:
                state = output[0] if isinstance(output, tuple) else output
                if not isinstance(state, Tensor):
                    raise Unmeasurable(
                        f"{name} gives a {type(state).__name__}, not a tensor; name other modules"
                    )
                seen[name] += 1
                see(name, by_unit(state.detach(), watching.axis))

            return after

        for name in names:
            module = problem.model.get_submodule(name)
            hooks.callback(module.register_forward_hook(show(name)).remove)
        problem.output()
    odd = [name for name in names if seen[name] != 1]
    if odd:
        raise ValueError(
            f"{odd[0]} runs {seen[odd[0]]} times in one pass, so it has no one state; name modules"
            " that run once: sites='pattern'"
        )
