"""V9: have the states of different examples fallen into one?"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import final

from skipwise.analysis import Measurement, short
from skipwise.diagnosis.cure import by_network, joined
from skipwise.diagnosis.rules.blocks.cures import SKIP
from skipwise.diagnosis.verdict import Level, Verdict

RANK = 0.1  # of min(samples, width)
COSINE = 0.99
NEEDED = 0.5  # of the C − 1 directions that classes need
SPREAD = joined((
    SKIP,
    by_network(
        "a scale 1/√L keeps inputs apart where unscaled branches do not: --set"
        " network.connection=Additive --set network.connection.scale_by_depth=0.5; a norm over the"
        " batch takes out the common mean: --set network.branch=PreActivation",
        module="a scale 1/√L keeps inputs apart where unscaled branches do not:"
        " skipwise.Residual(branch, skipwise.Additive(scale=depth**-0.5)); a norm over the batch"
        " takes out the common mean",
    ),
))

_verdict = partial(
    Verdict,
    rule="V9",
    name="representation collapsed",
    source="own; rank: Roy, Vetterli (2007); neural collapse: Papyan et al. (2020)",
    reference="exp(entropy of σ/Σσ) of min(samples, width); c' = (c + a·R(c))/(1 + a)",
    band=f"rank at least {RANK:g} of the most, cosine at most {COSINE:g}; trained: (C − 1)/2",
    confidence="grows with the number of examples, and counts only those that differ",
)


def collapse(
    *,
    ranks: Measurement | None = None,
    signal: Measurement | None = None,
    classes: int | None = None,
    trained: bool | None = None,
) -> Verdict:
    """Judge whether the last block still tells examples apart.

    A block is collapsed if the effective rank of its output is below a tenth of what it could be,
    min(samples, width), or if the mean cosine of two examples is above 0.99. Theory is asked first:
    a plain ReLU network of 100 layers has a cosine of 0.996 by design, which is INFO. After
    training C classes need C − 1 directions and no more (neural collapse), so the rank counts only
    against half of these, and the cosine, into which a common mean enters, only together with it.

    Args:
        ranks: The measurement ``state_ranks``, whose samples are the positions of all examples.
        signal: The measurement of that name, whose theory of the correlation is asked.
        classes: C.
        trained: Whether the weights have been trained; None if that is not known.

    Source: cosine of 0.996 at depth 100: Cho, Saul (2009), eq. 6, iterated; neural collapse: Papyan
        et al. (2020), "Prevalence of neural collapse".
    """
    if ranks is None:
        return _verdict(level=Level.UNKNOWN, says="The ranks of the states were not measured.")
    states = _states(ranks)
    bad = [state for state in states if _collapsed(state, classes, trained=trained)]
    worst = min(bad or states, key=lambda state: (state.rank / state.most, -state.cosine))
    numbers = {
        "effective rank": worst.rank,
        "of at most": worst.most,
        "mean cosine": worst.cosine,
        "blocks collapsed": len(bad),
    }
    expected = _expected(signal, worst.name)
    if not math.isnan(expected):
        numbers["cosine by theory"] = expected
    says = worst.words()
    if not bad:
        return _verdict(level=Level.PASS, says=f"{says}; no block has collapsed.", numbers=numbers)
    where = tuple(state.name for state in bad)
    if not trained and all(_by_design(state, signal) for state in bad):
        says = f"{says}, as theory expects of this design ({short(expected)})."
        return _verdict(level=Level.INFO, says=says, numbers=numbers, where=where, remedy=SPREAD)
    says = f"{says}: it hardly tells examples apart."
    return _verdict(level=Level.WARN, says=says, numbers=numbers, where=where, remedy=SPREAD)


@final
@dataclass(frozen=True, kw_only=True)
class State:
    """What one block gives: its effective rank, the most it could be, the examples' mean cosine."""

    name: str
    rank: float
    most: float
    cosine: float

    def words(self) -> str:
        """Say it."""
        return (
            f"{self.name} gives {short(self.rank)} of {short(self.most)} directions, and two"
            f" examples have a mean cosine of {short(self.cosine)}"
        )


def _states(ranks: Measurement) -> Sequence[State]:
    columns = (ranks["effective rank"], ranks["width"], ranks["samples"], ranks["mean cosine"])
    return [
        State(name=name, rank=rank, most=min(width, samples), cosine=cosine)
        for name, rank, width, samples, cosine in zip(ranks.rows, *columns, strict=True)
    ]


def _collapsed(state: State, classes: int | None, *, trained: bool | None) -> bool:
    few = state.rank < RANK * state.most
    if trained:
        needed = 1.0 if classes is None else NEEDED * (classes - 1)
        return few and state.rank < needed
    return few or state.cosine > COSINE


def _by_design(state: State, signal: Measurement | None) -> bool:
    """Whether a cosine alone accuses, and theory expects one as high."""
    return state.rank >= RANK * state.most and _expected(signal, state.name) > COSINE


def _expected(signal: Measurement | None, name: str) -> float:
    """Give the cosine behind a block by the theory that holds, NaN without one."""
    if signal is None or name not in signal.rows:
        return math.nan
    behind = signal.rows.index(name) + 1
    for theory in signal.theories:
        told = theory.values[behind] if behind < len(theory.values) else math.nan
        if theory.column == "correlation" and theory.holds and not math.isnan(told):
            return told
    return math.nan
