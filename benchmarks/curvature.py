"""Curvature by three ways on the same model and batch: ours, curvlinops, all second derivatives.

Prints Markdown. The Hessian of the small network can be written down whole in double precision;
that of ResNet-20 cannot, and shows the time. curvlinops is compared in evaluation mode, and in
training mode by what finite differences say of both.

    python benchmarks/curvature.py > benchmarks/curvature.md
"""

import argparse
import platform
import re
import sys
import time
import warnings
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.sparse.linalg import eigsh
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from benchmarks.baseline import BasicBlock, usual_model
from skipwise.analysis import batch_sharpness, hessian
from skipwise.analysis.spectra import extreme_eigenvalues, trace

curvlinops: Any = import_module("curvlinops")  # pip install curvlinops-for-pytorch
Batch = tuple[Tensor, Tensor]


def small_network() -> nn.Module:
    """Two residual blocks of widths 3 and 6 on grey pictures: small enough for all derivatives."""
    return nn.Sequential(
        *(nn.Conv2d(1, 3, 3, 1, 1, bias=False), nn.BatchNorm2d(3), nn.ReLU(inplace=True)),
        *(BasicBlock(3, 3, 1), BasicBlock(3, 6, 2)),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 10)),
    )


def digits(count: int) -> Batch:
    """Pictures of 8×8, and their classes."""
    pictures, classes = load_digits(return_X_y=True)
    inputs = torch.from_numpy(pictures[:count]).view(-1, 1, 8, 8) / 8 - 1
    return inputs, torch.from_numpy(classes[:count]).long()


def trained(model: nn.Module, batch: Batch, steps: int) -> nn.Module:
    """Take some steps, so that it is no start that is measured."""
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for _ in range(steps):
        optimiser.zero_grad()
        functional.cross_entropy(model(batch[0]), batch[1]).backward()
        optimiser.step()
    return model


def all_derivatives(model: nn.Module, batch: Batch) -> Tensor:
    """Write the Hessian down, by torch.autograd.functional."""
    named = dict(model.named_parameters())
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}

    def value(flat: Tensor) -> Tensor:
        pieces = flat.split([parameter.numel() for parameter in named.values()])
        weights = {n: p.view_as(named[n]) for n, p in zip(named, pieces, strict=True)}
        copies = {name: buffer.clone() for name, buffer in buffers.items()}
        return functional.cross_entropy(
            functional_call(model, weights | copies, (batch[0],)), batch[1]
        )

    start = torch.cat([parameter.detach().flatten() for parameter in named.values()])
    matrix = torch.autograd.functional.hessian(value, start)
    assert isinstance(matrix, Tensor)
    return matrix


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """Give the result and the seconds."""
    began = time.perf_counter()
    return work(), time.perf_counter() - began


def theirs(model: nn.Module, batch: Batch) -> Any:
    """Make curvlinops's operator."""
    return curvlinops.HessianLinearOperator(
        model, nn.CrossEntropyLoss(), list(model.parameters()), [batch], check_deterministic=False
    )


def their_top(operator: Any) -> float:
    """Find the largest eigenvalue as its documents do, by scipy, to the same tolerance."""
    found = eigsh(
        operator.to_scipy(), k=1, which="LA", tol=1e-3,  # pyright: ignore[reportArgumentType]
        return_eigenvectors=False,
        v0=np.random.default_rng(0).standard_normal(operator.shape[0]),
    )  # fmt: skip
    return float(found[0])


def their_trace(operator: Any, probes: int) -> float:
    """Estimate the trace."""
    torch.manual_seed(0)
    return float(curvlinops.hutchinson_trace(operator, num_matvecs=probes))


def device() -> str:
    """Name the processor."""
    names = re.findall(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return names[0] if names else platform.processor()


def row(*cells: Any) -> None:
    """Print a row of a table."""
    print("| " + " | ".join(map(str, cells)) + " |")


def compare(model: nn.Module, batch: Batch, truth: Tensor | None, probes: int) -> None:
    """Print top eigenvalue and trace by all ways, in evaluation mode, with seconds."""
    row("", "largest eigenvalue", "seconds", f"trace, {probes} probes", "seconds")
    row("---", "---:", "---:", "---:", "---:")
    if truth is not None:
        row(
            "all derivatives",
            f"{torch.linalg.eigvalsh(truth)[-1]:.6f}",
            "",
            f"{truth.trace():.4f}",
            "",
        )
    with hessian(model, batch, training=False) as matrix:
        top, top_seconds = timed(lambda: extreme_eigenvalues(matrix))
        total, seconds = timed(lambda: trace(matrix, probes=probes))
    row(
        f"Skipwise, {top.products} products",
        f"{top.values[0]:.6f}", f"{top_seconds:.1f}",
        f"{total.value:.4f} ± {total.error:.4f}", f"{seconds:.1f}",
    )  # fmt: skip
    operator = theirs(model.eval(), batch)
    value, top_seconds = timed(lambda: their_top(operator))
    other, seconds = timed(lambda: their_trace(operator, probes))
    row("curvlinops", f"{value:.6f}", f"{top_seconds:.1f}", f"{other:.4f}", f"{seconds:.1f}")
    print(
        f"\nRelative difference of the largest eigenvalue to curvlinops"
        f" {abs(top.values[0] / value - 1):.1e}",
        end="\n" if truth is None else ", ",
    )
    if truth is not None:
        exact = torch.linalg.eigvalsh(truth)[-1].item()
        print(
            f"to all derivatives {abs(top.values[0] / exact - 1):.1e}; trace"
            f" {abs(total.value - truth.trace().item()) / total.error:.1f} standard errors off"
        )
    print()


def in_training_mode(model: nn.Module, batch: Batch) -> None:
    """Print how far both are from finite differences of gradients, with BatchNorm by the batch."""
    model.train()
    for norm in model.modules():
        if isinstance(norm, nn.BatchNorm2d):  # vmap refuses to move running statistics
            norm.track_running_stats, norm.running_mean, norm.running_var = False, None, None
    parameters = list(model.parameters())
    flat = nn.utils.parameters_to_vector(parameters).detach()
    direction = torch.randn(len(flat), dtype=flat.dtype, generator=torch.Generator().manual_seed(0))

    def gradient(amount: float) -> Tensor:
        nn.utils.vector_to_parameters(flat + amount * direction, parameters)
        loss = functional.cross_entropy(model(batch[0]), batch[1])
        return torch.cat([g.flatten() for g in torch.autograd.grad(loss, parameters)])

    slope = (gradient(1e-6) - gradient(-1e-6)) / 2e-6
    nn.utils.vector_to_parameters(flat, parameters)
    with hessian(model, batch) as matrix:
        ours = matrix.product(direction)
    other = theirs(model, batch) @ direction
    assert isinstance(other, Tensor)
    row("in training mode", "‖product − finite differences‖ / ‖finite differences‖")
    row("---", "---:")
    for name, product in (("Skipwise", ours), ("curvlinops", other)):
        row(name, f"{((product - slope).norm() / slope.norm()).item():.1e}")
    print()


def norms(model: nn.Module, batch: Batch) -> None:
    """Print the gradient's norm as measured and by a loop over ``.grad``."""
    measured = batch_sharpness(model, batch)["gradient norm"][0]
    model.train().zero_grad()
    functional.cross_entropy(model(batch[0]), batch[1]).backward()
    squares = [p.grad.double().square().sum() for p in model.parameters() if p.grad is not None]
    by_hand = torch.stack(squares).sum().sqrt().item()
    print(f"Gradient norm: {measured:.9g}, by a hand loop {by_hand:.9g}\n")


def main() -> None:
    """Compare, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=32, help="of ResNet-20")
    parser.add_argument("--probes", type=int, default=10, help="of ResNet-20")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.manual_seed(0)
    print("# Curvature: against curvlinops and all second derivatives\n")
    print(
        f"`python benchmarks/curvature.py`; {device()},"
        f" {torch.get_num_threads()} thread(s), torch {torch.__version__},"
        f" curvlinops {version('curvlinops-for-pytorch')}."
        " The machine is shared, so seconds are rough.\n"
    )
    batch = digits(128)
    model = trained(small_network().double(), batch, 30).eval()
    count = sum(parameter.numel() for parameter in model.parameters())
    print(f"## A residual network of {count} parameters, 128 digits, float64\n")
    truth, seconds = timed(lambda: all_derivatives(model, batch))
    print(f"All second derivatives took {seconds:.1f} s.\n")
    compare(model, batch, truth, probes=100)
    norms(model, batch)
    in_training_mode(model, batch)
    print(f"## ResNet-20, {options.batch} pictures of 32 px, float32\n")
    large = usual_model("resnet20", 3, 10)
    pictures = torch.randn(options.batch, 3, 32, 32), torch.arange(options.batch) % 10
    compare(trained(large, pictures, 5).eval(), pictures, None, options.probes)
    norms(large, pictures)


if __name__ == "__main__":
    main()
