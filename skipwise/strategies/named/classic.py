"""The first strategies, and those that stand in where none is chosen."""

from skipwise.strategies.optimisers import SGD, Adam, AdamW
from skipwise.strategies.schedules import WarmupLinear
from skipwise.strategies.strategy import Strategy


def sgd() -> Strategy:
    """Gradient descent without momentum, cosine, decay 5e-4: what momentum is compared with.

    The rate has the effective step of heavy ball 0.9 with rate 0.05. Evidence: ``studies/article``.
    """
    return Strategy(name="sgd", optimiser=SGD(), peak_lr=0.5, weight_decay=5e-4)


def momentum() -> Strategy:
    """Heavy ball 0.9 with rate 0.1 and decay 5e-4, cosine: the classic of residual networks.

    Source: momentum and rate of He et al. (2015), section 4.2, whose decay is 1e-4; decay of
    Zagoruyko, Komodakis (2016); cosine of Loshchilov, Hutter (2017).
    """
    return Strategy(name="momentum", optimiser=SGD(momentum=0.9), peak_lr=0.1, weight_decay=5e-4)


def nesterov() -> Strategy:
    """Nesterov's momentum 0.9 with rate 0.1 and decay 5e-4, cosine: the default.

    Source: Zagoruyko, Komodakis (2016), section 3, with a cosine in the place of their steps.
    """
    return Strategy(
        name="nesterov", optimiser=SGD(momentum=0.9, nesterov=True), peak_lr=0.1, weight_decay=5e-4
    )


def nesterov_triangle() -> Strategy:
    """Nesterov's momentum 0.9, rate 0.2 up and down in lines, smoothing 0.1: for few epochs.

    The default with a target where Muon cannot be: networks of your own, ``--shard``. Rate and a
    length of 4 epochs were chosen on Fashion-MNIST's validation part.
    """
    return Strategy(
        name="nesterov-triangle",
        optimiser=SGD(momentum=0.9, nesterov=True),
        peak_lr=0.2,
        schedule=WarmupLinear(),
        weight_decay=5e-4,
        label_smoothing=0.1,
    )


def finetuning() -> Strategy:
    """Nesterov's momentum 0.9 with rate 0.01 and decay 1e-4, cosine: the default with --weights.

    A low rate on purpose, so that trained weights stay near where they were; no evidence of ours
    speaks for it: ``studies/fine_tuning.py`` took ``nesterov`` (decay 5e-4), chose 0.1 among 0.3,
    0.1, 0.03 and 0.01 by validation, and reached 95.19 %.
    """
    rule = SGD(momentum=0.9, nesterov=True)
    return Strategy(name="finetuning", optimiser=rule, peak_lr=0.01, weight_decay=1e-4)


def adam() -> Strategy:
    """Adam with rate 1e-3 and no decay, cosine: the article's choice.

    Source: Kingma, Ba (2015), whose default rate it is; the cosine is ours.
    """
    return Strategy(name="adam", optimiser=Adam(), peak_lr=1e-3)


def adamw() -> Strategy:
    """AdamW with rate 2e-3 and decoupled decay 0.05, cosine.

    No evidence on residual networks but our own look at the first epoch; ``adamw-cosine`` has one.
    """
    return Strategy(name="adamw", optimiser=AdamW(), peak_lr=2e-3, weight_decay=0.05)
