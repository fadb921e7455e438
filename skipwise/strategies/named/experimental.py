"""Recipes whose evidence on residual networks was not checked: the rules' own numbers.

Rate, decay and schedule are those of ``adamw-cosine``, which is what to compare them with.
"""

from dataclasses import replace

from skipwise.strategies.named.moments import adamw_cosine
from skipwise.strategies.optimisers import ADOPT, MARS, CautiousAdamW
from skipwise.strategies.strategy import Strategy


def adopt() -> Strategy:
    """ADOPT 0.9/0.9999 in the place of AdamW in adamw-cosine; experimental.

    Its memory of the square is long and begins with the first gradient, which is zero in branches
    that start at zero. Evidence: its paper's, Taniguchi et al. (2024), not checked here.
    """
    return replace(adamw_cosine(), name="adopt", optimiser=ADOPT())


def mars() -> Strategy:
    """MARS-AdamW 0.95/0.99 with γ = 0.025 in the place of AdamW in adamw-cosine; experimental.

    Evidence: Yuan et al. (2024), language models, with rates five to ten times AdamW's (6e-3 for
    6e-4 with 125 million parameters); for residual networks it was not checked here.
    """
    return replace(adamw_cosine(), name="mars", optimiser=MARS())


def cautious_adamw() -> Strategy:
    """Cautious AdamW in the place of AdamW in adamw-cosine; experimental.

    Evidence: Liang et al. (2024), language models and masked autoencoders; for residual networks it
    was not checked here.
    """
    return replace(adamw_cosine(), name="cautious-adamw", optimiser=CautiousAdamW())
