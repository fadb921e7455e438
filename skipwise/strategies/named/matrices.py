"""Recipes of rules that look at whole matrices, or at all parameters at once."""

from skipwise.strategies.optimisers import LBFGS, SOAP, Muon, Shampoo
from skipwise.strategies.schedules import Constant, WarmupLinear
from skipwise.strategies.strategy import Strategy


def muon() -> Strategy:
    """Muon 0.95 with rate 0.02 and decay 0.01 on the branches, AdamW with 1e-3 on the rest, cosine.

    Evidence: Jordan's airbench, CIFAR-10 to 94 % in 16 % less time than Nesterov's momentum (200
    runs; there with rate 0.24, momentum 0.6, weights of fixed norm). The rate here is that of his
    README. With ResNet-20 and batches of 128 a step takes 0.997 [0.978, 1.037] times as long as
    SGD's (``benchmarks/muon.md``).
    """
    return Strategy(
        name="muon", optimiser=Muon(), peak_lr=0.02, weight_decay=0.01, label_smoothing=0.1
    )


def muon_triangle() -> Strategy:
    """Muon 0.8 with rate 0.2 up and down in lines, decay 0.01, smoothing 0.1: for few epochs.

    The default with a target. Momentum, rate and length were chosen on Fashion-MNIST's validation
    part; Jordan's airbench has 0.6 and 0.24.
    """
    return Strategy(
        name="muon-triangle",
        optimiser=Muon(momentum=0.8),
        peak_lr=0.2,
        schedule=WarmupLinear(),
        weight_decay=0.01,
        label_smoothing=0.1,
    )


def soap() -> Strategy:
    """SOAP 0.95/0.95 with rate 3e-3, decay 0.01, a new basis every 10 steps, cosine.

    The authors' defaults, for transformers. On pictures there was no clear gain in the final loss
    over Adam or Shampoo (arXiv 2509.22938); Shampoo's kin needs no zero start of the last norm
    (AlgoPerf).
    """
    return Strategy(
        name="soap", optimiser=SOAP(), peak_lr=3e-3, weight_decay=0.01, label_smoothing=0.1
    )


def shampoo() -> Strategy:
    """Shampoo as its paper has it, without momentum, with rate 0.1, decay 1e-3 and a cosine.

    Its ε of 1e-4 and the roots of every step are the authors'; with 1e-6 and roots of every tenth
    step it stayed at chance. Their rate of 1 is too high here: ResNet-20 of width 8, 150 steps of
    128 on Fashion-MNIST, came to 76.1 % with 0.1 and to 78.6 % with 0.3 (validation, one seed).
    No other evidence on residual networks in this plain form: AlgoPerf's 77.35 % (ResNet-50,
    ImageNet) is of Distributed Shampoo, which has momentum, forgets, and borrows its step's length
    from Adam.
    """
    return Strategy(
        name="shampoo", optimiser=Shampoo(), peak_lr=0.1, weight_decay=1e-3, label_smoothing=0.1
    )


def lbfgs() -> Strategy:
    """L-BFGS with strong Wolfe line search and constant rate 1, for small problems.

    Give it batches that are the whole training part, and no augmentation. It is evaluated with
    BatchNorm statistics of where its search ended. No evidence on residual networks.
    """
    return Strategy(name="lbfgs", optimiser=LBFGS(), peak_lr=1.0, schedule=Constant())
