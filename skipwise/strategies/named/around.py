"""Recipes of what stands around another rule: sharpness, slow weights, averages."""

from dataclasses import replace

from skipwise.strategies.averaging import EMA, LAWA, SWA
from skipwise.strategies.named.descent import sgd_cosine
from skipwise.strategies.optimisers import ASAM, GSAM, SAM, Lookahead
from skipwise.strategies.schedules import ToConstant
from skipwise.strategies.strategy import Strategy


def sam() -> Strategy:
    """SAM with radius 0.05 around sgd-cosine: twice the time a step.

    Evidence: Foret et al. (2021), CIFAR and ImageNet: better with as many epochs, which take twice
    the time; the gain grows with width and length, and is small in small networks.
    """
    return replace(sgd_cosine(), name="sam", optimiser=SAM())


def asam() -> Strategy:
    """ASAM with radius 0.5 and η = 0.01 around sgd-cosine: twice the time a step.

    Evidence: Kwon et al. (2021), CIFAR-10, whose radius this is, and CIFAR-100, where it is 1.
    """
    return replace(sgd_cosine(), name="asam", optimiser=ASAM())


def gsam() -> Strategy:
    """GSAM with radius 0.04 and α = 0.01 around sgd-cosine: twice the time a step.

    Evidence: Zhuang et al. (2022): better than SAM, most of all with vision transformers, which
    have other values (ViT-B/32: radius 0.6 to 0.1, α = 0.6). These are what implementations take
    for ResNets, where the radius falls to 0.02 with the rate.
    """
    return replace(sgd_cosine(), name="gsam", optimiser=GSAM())


def lookahead() -> Strategy:
    """Lookahead, 5 steps and half of the way, around sgd-cosine; the slow weights are kept.

    Evidence: its paper's, Zhang et al. (2019), CIFAR and ImageNet with ResNet-18 and -50.
    """
    return replace(sgd_cosine(), name="lookahead", optimiser=Lookahead())


def ema() -> Strategy:
    """Average of the weights with memory 0.999 over sgd-cosine; the average is kept.

    Evidence: Morales-Brotons et al. (2024, arXiv 2411.18704): better accuracy, calibration and
    robustness to wrong labels, if BatchNorm's statistics are those of the average.
    """
    return replace(sgd_cosine(), name="ema", averaging=EMA(decay=0.999))


def swa() -> Strategy:
    """The plain mean of the weights of the last quarter, over sgd-cosine with a level rate there.

    The rate falls along a cosine to a fifth in three quarters of the run and then stays. Evidence:
    Izmailov et al. (2018), CIFAR and ImageNet with pre-activation and wide networks.
    """
    level = ToConstant(until=0.75, end=0.2)
    return replace(sgd_cosine(), name="swa", schedule=level, averaging=SWA(last=0.25))


def lawa() -> Strategy:
    """The plain mean of 6 latest weights, a ninetieth of the run apart, over sgd-cosine.

    Evidence: Kaddour (2022, arXiv 2209.14981), ImageNet with ResNet-50: the same loss some epochs
    earlier, while the rate is not low yet; at the end of a cosine the weights hardly differ, and
    it gains little. In AlgoPerf it came to 40.3 % on ImageNet, which looks like BatchNorm's
    statistics not being those of the average.
    """
    return replace(sgd_cosine(), name="lawa", averaging=LAWA())
