"""What an analysis looks at: a model, a batch and a loss, checked once for all measurements."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, final, runtime_checkable

import torch
from torch import Tensor, nn

from skipwise.analysis.reasons import Unmeasurable, why_no_loss, why_not_computed, why_outside
from skipwise.shapes import Scalar

Loss: TypeAlias = Callable[[Any, Any], Tensor]
BATCH_NORM = nn.modules.batchnorm._BatchNorm


@runtime_checkable
class _Pair(Protocol):
    inputs: Any
    targets: Any


@final
@dataclass(frozen=True, kw_only=True)
class Problem:
    """A model, what it reads, what it should say, and how far it is from that.

    Args:
        model: Any module.
        inputs: A tensor, or a tuple or mapping of arguments.
        targets: What the loss compares the output with.
        loss: ``(output, targets) → one number``.
    """

    model: nn.Module
    inputs: Any
    targets: Any
    loss: Loss

    def arguments(self) -> dict[int | str, Any]:
        """Give the model's arguments, by name or by number."""
        if isinstance(self.inputs, Mapping):
            return dict(self.inputs)
        return dict(enumerate(self.inputs if isinstance(self.inputs, tuple) else (self.inputs,)))

    def output(self, arguments: Mapping[int | str, Any] | None = None) -> Any:
        """Compute the model's output, of other arguments if they are given.

        Raises:
            ValueError: If the model cannot be computed on them.
            Unmeasurable: If a measurement that watches it says so.
            OutOfMemoryError: As torch has it.
        """
        given = self.arguments() if arguments is None else arguments
        try:
            if isinstance(self.inputs, Mapping):
                return self.model(**{str(name): value for name, value in given.items()})
            return self.model(*given.values())
        except (Unmeasurable, torch.OutOfMemoryError):
            raise
        except Exception as error:
            why = why_not_computed(self.model, self.inputs, self.targets, error)
            raise ValueError(why) from error

    def compared(self, output: Any, targets: Any) -> Any:
        """Give the loss of an output, whatever the loss function makes of it.

        Raises:
            ValueError: If the two are not what the loss compares.
            OutOfMemoryError: As torch has it.
        """
        by_classes = self.loss is nn.functional.cross_entropy
        if by_classes and (outside := why_outside(output, targets)):
            raise ValueError(outside)
        try:
            return self.loss(output, targets)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:
            why = why_no_loss(self.loss, output, targets, error)
            if why is None:
                raise
            raise ValueError(why) from error

    def value(self, arguments: Mapping[int | str, Any] | None = None) -> Scalar:
        """Compute the loss, of other arguments if they are given.

        Raises:
            ValueError: If it cannot be computed, or is not one finite number that gradients can be
                taken of.
        """
        loss = self.number(arguments)
        if not loss.requires_grad:
            raise ValueError(
                "the loss does not depend on the model by operations that have gradients;"
                " compute it from the model's output, without detach() or item()"
            )
        if not bool(torch.isfinite(loss)):
            raise ValueError(
                f"the loss is {loss.item()}, so no gradient means anything; look for too large a"
                " rate or weights, or for targets outside the classes"
            )
        return loss

    def number(self, arguments: Mapping[int | str, Any] | None = None) -> Scalar:
        """Compute the loss where no gradient is wanted; it may be infinite.

        Raises:
            ValueError: If it cannot be computed, or is not one number.
        """
        loss = self.compared(self.output(arguments), self.targets)
        if not isinstance(loss, Tensor) or loss.numel() != 1:
            shape = tuple(loss.shape) if isinstance(loss, Tensor) else type(loss).__name__
            raise ValueError(
                f"the loss must be one number, got {shape}; take its mean: reduction='mean'"
            )
        return loss.reshape(())


def pose(model: nn.Module, batch: Any, loss: Loss | None = None, *, finite: bool = True) -> Problem:
    """Check a model and a batch, and join them with a loss; every measurement begins so.

    Args:
        model: Any module; a compiled one is measured as the module it was made of.
        batch: A pair (inputs, targets), or what has these two as attributes.
        loss: ``(output, targets) → one number``; the cross-entropy if None.
        finite: Whether weights must be finite, as every measurement asks but that of finiteness.

    Raises:
        TypeError: If the model is no module, or the batch no pair.
        ValueError: If weights are not finite, the batch lies on another device than the model, or
            it holds one example and BatchNorm takes its statistics from it.
    """
    model = as_module(model)
    model = uncompiled(model)
    inputs, targets = _pair(batch)
    _check_device(model, _tensors(inputs))
    if finite:
        check_weights(model)
    _check_statistics(model, _tensors(inputs))
    return Problem(
        model=model,
        inputs=inputs,
        targets=targets,
        loss=nn.functional.cross_entropy if loss is None else loss,
    )


def as_module(model: Any) -> nn.Module:
    """Give a model back that is one.

    Raises:
        TypeError: If it is no module.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, got {type(model).__name__}")
    return model


def _pair(batch: Any) -> tuple[Any, Any]:
    if isinstance(batch, tuple | list) and len(batch) == 2:
        return batch[0], batch[1]
    if isinstance(batch, _Pair):
        return batch.inputs, batch.targets
    raise TypeError(
        f"batch must be a pair (inputs, targets), got {type(batch).__name__};"
        " pass (inputs, None) where the loss needs no targets, and several batches as a list"
    )


def _tensors(inputs: Any) -> list[Tensor]:
    values: Iterable[Any] = inputs.values() if isinstance(inputs, Mapping) else inputs
    if isinstance(inputs, Tensor):
        values = [inputs]
    return [value for value in values if isinstance(value, Tensor)]


def check_weights(model: nn.Module) -> None:
    """See that all that training moves is finite.

    Raises:
        ValueError: If it is not.
    """
    # Other buffers may hold infinities on purpose, as causal masks do.
    statistics = [(n, b) for n, b in model.named_buffers() if ".running_" in f".{n}"]
    for name, tensor in (*model.named_parameters(), *statistics):
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise ValueError(
                f"{name} holds numbers that are not finite, so nothing can be measured; the"
                " training diverged before: take weights from an earlier step"
            )


def _check_device(model: nn.Module, inputs: list[Tensor]) -> None:
    weight = next(model.parameters(), None)
    if weight is None or not inputs or weight.device == inputs[0].device:
        return
    raise ValueError(
        f"the model is on {weight.device} and the batch on {inputs[0].device};"
        f" move the batch: inputs.to('{weight.device}')"
    )


def uncompiled(model: nn.Module) -> nn.Module:
    """Give the module that ``torch.compile`` was given, and any other as it is."""
    return vars(model).get("_modules", {}).get("_orig_mod", model)


def _check_statistics(model: nn.Module, inputs: list[Tensor]) -> None:
    # One picture has statistics over its places.
    if not inputs or inputs[0].dim() not in (1, 2) or inputs[0].shape[0] != 1:
        return
    for name, module in model.named_modules():
        if isinstance(module, BATCH_NORM) and module.training:
            raise ValueError(
                f"a batch of one example has no statistics for {name}, a BatchNorm in training"
                " mode; take a batch of several, or model.eval()"
            )
