"""Losses whose curvature is known in closed form, or can be written down whole."""

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional


def drawn(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    double = torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return double.to(dtype)


def linear(features: int, outputs: int = 1) -> nn.Linear:
    """A linear map without bias, at zero, in double precision."""
    layer = nn.Linear(features, outputs, bias=False, dtype=torch.float64)
    nn.init.zeros_(layer.weight)
    return layer


def half_squares(output: Tensor, targets: Tensor) -> Tensor:
    """(1/2N)·‖output − targets‖²."""
    return (output - targets).square().sum() / (2 * len(targets))


class Product(nn.Module):
    """Loss (xy − 1)²/2, whatever it is given."""

    def __init__(self, x: float, y: float):
        super().__init__()
        self.x = nn.Parameter(torch.tensor(x, dtype=torch.float64))
        self.y = nn.Parameter(torch.tensor(y, dtype=torch.float64))

    def forward(self, _: Tensor) -> Tensor:
        return self.x * self.y


def product_loss(output: Tensor, _: Tensor | None) -> Tensor:
    return (output - 1) ** 2 / 2


NOTHING = torch.zeros(1), torch.zeros(1)


def small_network(dtype: torch.dtype = torch.float64, *, seed: int = 3) -> nn.Sequential:
    """Convolution, BatchNorm, ReLU in place, twice, and a head: 181 parameters."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(
            *(nn.Conv2d(2, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(inplace=True)),
            *(nn.Conv2d(4, 2, 3, bias=False), nn.BatchNorm2d(2), nn.ReLU(inplace=True)),
            *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 3)),
        ).to(dtype)


def norms(model: nn.Module) -> list[nn.BatchNorm2d]:
    return [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]


def small_batch(dtype: torch.dtype = torch.float64, *, size: int = 8, seed: int = 5):
    classes = torch.arange(size) % 3
    return drawn(size, 2, 6, 6, seed=seed, dtype=dtype), classes


def dense_hessian(model: nn.Module, batch, loss=functional.cross_entropy) -> Tensor:
    """Second derivatives one by one, with the buffers copied, by another way than ours."""
    names = [name for name, _ in model.named_parameters()]
    shapes = [parameter.shape for _, parameter in model.named_parameters()]
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}

    def value(flat: Tensor) -> Tensor:
        pieces = flat.split([shape.numel() for shape in shapes])
        weights = {n: p.view(s) for n, p, s in zip(names, pieces, shapes, strict=True)}
        copies = {name: buffer.clone() for name, buffer in buffers.items()}
        return loss(functional_call(model, weights | copies, (batch[0],)), batch[1])

    start = torch.cat([p.detach().flatten() for p in model.parameters()])
    matrix = torch.autograd.functional.hessian(value, start)
    assert isinstance(matrix, Tensor)
    return matrix
