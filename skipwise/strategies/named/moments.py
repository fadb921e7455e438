"""Recipes of Adam's kin, and of rules that treat the gradient number by number."""

from skipwise.strategies.optimisers import (
    LAMB,
    Adafactor,
    Adagrad,
    AdamW,
    Adan,
    Lion,
    NAdam,
    NAdamW,
    RAdam,
    RMSprop,
)
from skipwise.strategies.schedules import Cosine
from skipwise.strategies.strategy import Strategy


def adamw_cosine() -> Strategy:
    """AdamW with rate 1e-3 per 128 (by the root), decoupled decay 0.05, cosine, smoothing 0.1.

    Evidence: with as much tuning, ε too, Adam is at least as good as momentum (Choi et al., 2019);
    on ImageNet with ResNet-50 its family ended 0.2 to 0.3 points below SGD (AlgoPerf).
    """
    return Strategy(
        name="adamw-cosine",
        optimiser=AdamW(),
        peak_lr=1e-3,
        rate_batch=128,
        rate_rule="sqrt",
        weight_decay=0.05,
        label_smoothing=0.1,
    )


def nadamw_algoperf() -> Strategy:
    """NAdamW 0.973/0.998, rate 1.3e-3 per 1024 (by the root), decay 0.164, smoothing 0.1.

    A warm-up of 10 %, then a cosine. Evidence: AlgoPerf's baseline, ResNet-50 on ImageNet with
    batches of 1024: 77.30 ± 0.13 %. Scaling by the root was not tried there. Differs: norms and
    biases do not decay.
    """
    return Strategy(
        name="nadamw-algoperf",
        optimiser=NAdamW(beta1=0.973, beta2=0.998),
        peak_lr=1.3e-3,
        rate_batch=1024,
        rate_rule="sqrt",
        schedule=Cosine(warmup=0.1),
        weight_decay=0.164,
        label_smoothing=0.1,
    )


def nadam() -> Strategy:
    """NAdam with torch's rate 2e-3 and no decay, cosine. No evidence on residual networks."""
    return Strategy(name="nadam", optimiser=NAdam(), peak_lr=2e-3)


def radam() -> Strategy:
    """RAdam with rate 1e-3 and no decay, cosine.

    Evidence: its paper's, Liu et al. (2020), ResNet-20 on CIFAR-10 and ResNet-18 on ImageNet.
    """
    return Strategy(name="radam", optimiser=RAdam(), peak_lr=1e-3)


def rmsprop() -> Strategy:
    """RMSprop with rate 1e-3, memory 0.99, no decay, cosine. No evidence on residual networks."""
    return Strategy(name="rmsprop", optimiser=RMSprop(), peak_lr=1e-3)


def adagrad() -> Strategy:
    """Adagrad with torch's rate 1e-2 and no decay, cosine. No evidence on residual networks."""
    return Strategy(name="adagrad", optimiser=Adagrad(), peak_lr=1e-2)


def adafactor() -> Strategy:
    """Adafactor with torch's rate 1e-2, no decay, cosine. No evidence on residual networks."""
    return Strategy(name="adafactor", optimiser=Adafactor(), peak_lr=1e-2)


def lamb() -> Strategy:
    """LAMB with rate 5e-3 per 2048 (by the root), decay 0.02, cosine: ResNet strikes back.

    Evidence: Wightman et al. (2021), recipe A2, ResNet-50 on ImageNet with batches of 2048, binary
    cross-entropy, mixup and CutMix: 79.8 % in 300 epochs (A1: 80.4 % in 600, with decay 0.01). Only
    the optimiser, the rate and the decay are here, and its warm-up of 5 epochs is not; the loss is
    the cross-entropy, ``--set strategy.loss=binary`` takes theirs. SGD reached 80.9 % with a recipe
    of that kind. The root is the rule of You et al. (2020).
    """
    return Strategy(
        name="lamb",
        optimiser=LAMB(),
        peak_lr=5e-3,
        rate_batch=2048,
        rate_rule="sqrt",
        weight_decay=0.02,
    )


def lion() -> Strategy:
    """Lion 0.9/0.99 with rate 1e-4 and decay 0.5, ten times AdamW's, cosine, smoothing 0.1.

    Evidence: Chen et al. (2023), mostly transformers, with a rate three to ten times below AdamW's
    and a decay as many times above; little on residual networks.
    """
    return Strategy(
        name="lion", optimiser=Lion(), peak_lr=1e-4, weight_decay=0.5, label_smoothing=0.1
    )


def adan() -> Strategy:
    """Adan 0.98/0.92/0.99 with rate 0.015 per 2048 (by the root), decay 0.02, clipped at 5, cosine.

    A warm-up of a fifth. Evidence: the authors' ResNet-50 on ImageNet, batches of 2048, warm-up of
    60 epochs, binary cross-entropy, mixup and CutMix: 80.2 % in 300 epochs (79.7 % in 200; 78.1 %
    in 100 with rate 0.03). Scaling by the root was not tried there. Differs: norms and biases do
    not decay; the loss is the cross-entropy, ``--set strategy.loss=binary`` takes theirs; mixing
    is left to ``--augment``.
    """
    return Strategy(
        name="adan",
        optimiser=Adan(),
        peak_lr=0.015,
        rate_batch=2048,
        rate_rule="sqrt",
        schedule=Cosine(warmup=0.2),
        weight_decay=0.02,
        clip_norm=5.0,
    )
