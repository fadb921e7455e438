"""How large the gradient is, layer by layer."""

import torch
from torch import Tensor, nn

from skipwise.shapes import Vector


def layers_of(model: nn.Module) -> dict[str, nn.Parameter]:
    """Name the weights that are measured: those of two axes or more, and that learn.

    These are convolutions and linear maps; norms and biases are left out, which follow them.
    """
    return {
        name.removesuffix(".weight"): parameter
        for name, parameter in model.named_parameters()
        if parameter.dim() >= 2 and parameter.requires_grad
    }


def layer_norms(weights: list[nn.Parameter]) -> Vector:
    """Give ``‖∂L/∂W‖``, the Euclidean norm, of each weight's gradient; it stays on the device.

    Args:
        weights: Whose ``.grad`` is read; a weight without one has the norm 0.

    Returns:
        Shape ``(weights,)``.
    """
    gradients: list[Tensor] = [
        w.new_zeros(()) if w.grad is None else w.grad.detach() for w in weights
    ]
    return torch.stack([torch.linalg.vector_norm(gradient).float() for gradient in gradients])
