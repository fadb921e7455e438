"""Recipes of gradient descent with momentum, and what goes with them."""

from dataclasses import replace

from skipwise.strategies.optimisers import LARS, SGD, SGDW
from skipwise.strategies.schedules import Cosine, StableDecay, Steps, WarmupLinear
from skipwise.strategies.strategy import Strategy
from skipwise.strategies.transforms import AdaptiveClipping


def sgd_cosine() -> Strategy:
    """Nesterov 0.9, rate 0.1 per 128 examples, cosine, decay 5e-4, smoothing 0.1: the baseline.

    The rate grows with the batch, as in Goyal et al. (2017), after a warm-up of 5 %. Evidence: with
    recipes of this kind SGD reached 80.9 % on ImageNet with ResNet-50 (torchvision, 600 epochs;
    LAMB 80.4 %), and a tuned relative of it alone reached AlgoPerf's target in all studies.
    """
    return Strategy(
        name="sgd-cosine",
        optimiser=SGD(momentum=0.9, nesterov=True),
        peak_lr=0.1,
        rate_batch=128,
        rate_rule="linear",
        weight_decay=5e-4,
        label_smoothing=0.1,
    )


def sgdw_algoperf() -> Strategy:
    """Nesterov 0.972 with decoupled decay 2.4e-4, rate 1.949 per 1024, smoothing 0.2.

    A warm-up of 10 %, then a cosine. Evidence: trial 1 of AlgoPerf's "Generalized Adam", ResNet-50
    on ImageNet with batches of 1024: 77.61 ± 0.07 %, the only submission that reached the target in
    five of five studies. The rate is scaled in proportion to the batch, which was not tried there.
    """
    return Strategy(
        name="sgdw-algoperf",
        optimiser=SGDW(momentum=0.972, nesterov=True),
        peak_lr=1.949,
        rate_batch=1024,
        rate_rule="linear",
        schedule=Cosine(warmup=0.1),
        weight_decay=2.4e-4,
        label_smoothing=0.2,
    )


def sgd_onecycle() -> Strategy:
    """Nesterov 0.9, rate 0.4 per 512 up for 5 of 24 epochs and down in lines, decay 5e-4.

    Evidence: Page (2018), "How to train your ResNet": CIFAR-10, ResNet-9, batches of 512, cutout of
    8 pixels, 24 epochs: median 94.08 %, 35 of 50 runs at 94 % or more. Differs: norms and
    biases do not decay.
    """
    return Strategy(
        name="sgd-onecycle",
        optimiser=SGD(momentum=0.9, nesterov=True),
        peak_lr=0.4,
        rate_batch=512,
        rate_rule="linear",
        schedule=WarmupLinear(warmup=5 / 24),
        weight_decay=5e-4,
    )


def sgd_step() -> Strategy:
    """Heavy ball 0.9, rate 0.1, a tenth at a half and at three quarters of the run, decay 1e-4.

    Evidence: He et al. (2016), section 4.2: CIFAR-10, batches of 128, 64,000 steps: ResNet-20
    8.75 % error, ResNet-110 6.43 %. Differs: norms and biases do not decay.
    """
    return Strategy(
        name="sgd-step",
        optimiser=SGD(momentum=0.9),
        peak_lr=0.1,
        rate_batch=128,
        rate_rule="linear",
        schedule=Steps(),
        weight_decay=1e-4,
    )


def sgd_wsd() -> Strategy:
    """sgd-cosine with the rate up for 5 % of the run, level, and down in a line for the last 20 %.

    Its level part can be made longer, so it is for budgets that are not known at the start.
    Evidence: Hägele et al. (2024), language models, as good as a cosine; none on residual networks.
    """
    return replace(sgd_cosine(), name="sgd-wsd", schedule=StableDecay(warmup=0.05, decay=0.2))


def lars() -> Strategy:
    """LARS 0.9 with trust 1e-3, rate 0.1 per 256, decay 1e-4, cosine: for batches of thousands.

    In batches of 128 a layer moves by at most 0.05 % of its size a step: too little for a short
    run. Evidence: You et al. (2017) for ResNet-50 with batches of 8,192 and more; with as much
    tuning Nesterov's momentum does as well there (Nado et al., 2021).
    """
    return Strategy(
        name="lars",
        optimiser=LARS(),
        peak_lr=0.1,
        rate_batch=256,
        rate_rule="linear",
        weight_decay=1e-4,
        label_smoothing=0.1,
    )


def agc_nf() -> Strategy:
    """Nesterov 0.9, rate 0.1 per 256, decay 2e-5, clipped unit by unit at 0.01: without norms.

    For networks without norms whose branches do not start at zero. Source: Brock et al. (2021), eq.
    3, and the authors' configuration of NFNet: ImageNet, batches of 4096, smoothing 0.1, a warm-up
    of 5 of 360 epochs, then a cosine. Smaller batches want a clip above 0.01. Differs: no average
    of the weights. Evidence: NFNet-F5 86.0 % on ImageNet, with scaled weight standardisation, which
    is the network's matter. A unit that starts at zero gets a gradient of 1e-5 at most, so a short
    run of a Fixup network stays where it starts: on digits (ResNet-20, width 8, 60 epochs) at
    42.7 %, where sgd-cosine with ``clip_norm=1`` reached 97.9 % (validation, one seed).
    """
    return Strategy(
        name="agc-nf",
        optimiser=SGD(momentum=0.9, nesterov=True),
        peak_lr=0.1,
        rate_batch=256,
        rate_rule="linear",
        schedule=Cosine(warmup=5 / 360),
        weight_decay=2e-5,
        label_smoothing=0.1,
        gradient=(AdaptiveClipping(ratio=0.01),),
    )
