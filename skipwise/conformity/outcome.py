"""The contract: a check is a function (strategy) → outcome, and an outcome says its reason."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from skipwise.strategies import (
    LBFGS,
    SOAP,
    NAdam,
    NotInstalled,
    Optimiser,
    Prodigy,
    Strategy,
)

EXACT = 1e-9  # largest relative difference of two float64 computations of the same thing
SINGLE = 1e-5  # likewise where one of them is in float32
# What these keep in float32 whatever the parameters are; every other rule is held to EXACT.
IN_FLOAT32: Mapping[type[Optimiser], str] = {
    NAdam: "torch keeps the product of its momenta in float32",
    Prodigy: "the package keeps what d is estimated from in float32",
    SOAP: "the package turns its basis in float32",
}
# What a table says where less than the whole claim was shown.
LESS = {
    "rate": "it goes at the rate that is predicted; no limit of stability is known",
    "converges": "no theory is known here; it goes down",
}
# What it says where nothing was shown, for the rule, average or transform is not one of ours.
UNJUDGED = "?"
NOT_OURS = "cannot be judged for what is not ours: there is no formula of it to compare with"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a check found.

    Args:
        passed: Whether the claim holds; None where it is not about this strategy, or cannot be
            judged.
        sentence: Why, in one sentence.
        numbers: What it rests on.
        word: What a table says where less was shown: one of :data:`LESS` in the place of yes, or
            :data:`UNJUDGED` where nothing was.
    """

    passed: bool | None
    sentence: str
    numbers: Mapping[str, float] = field(default_factory=dict)
    word: str = ""

    def mark(self, marks: Mapping[bool | None, str]) -> str:
        """Give what stands in a table, by the words for passed, failed and not due."""
        return self.shown or marks[self.passed]

    @property
    def shown(self) -> str:
        """The word, but of what failed."""
        return "" if self.passed is False else self.word


@dataclass(frozen=True, kw_only=True)
class Check:
    """One claim and how it is checked.

    Args:
        name: Head of its column.
        claim: What holds where it is passed, in one sentence.
        find: Tries it on a strategy.
    """

    name: str
    claim: str
    find: Callable[[Strategy], Outcome]

    def __call__(self, strategy: Strategy) -> Outcome:
        """Try the claim; what cannot run has not passed, and the sentence is that of the error."""
        try:
            return self.find(strategy)
        except NotInstalled as error:
            return not_due(str(error))
        except Exception as error:  # any error of a rule is a finding about that rule
            text = " ".join(str(error).split())
            return Outcome(passed=False, sentence=f"it stops with {type(error).__name__}: {text}")


def tolerance(rule: Optimiser) -> float:
    """Give the largest relative difference that rounding explains, by the type it computes in."""
    return SINGLE if _words_on(rule) else EXACT


def precision_of(rule: Optimiser) -> str:
    """Say what is in float32, as the end of a sentence."""
    words = _words_on(rule)
    return f" ({words[0]})" if words else ""


def _words_on(rule: Optimiser) -> list[str]:
    every = rule.rules
    return [text for kind, text in IN_FLOAT32.items() if any(isinstance(r, kind) for r in every)]


def steadied(strategy: Strategy) -> Strategy:
    """Give a line search one iteration a step: each makes the rounding of those before larger."""
    rule = strategy.optimiser
    if not isinstance(rule, LBFGS):
        return strategy
    return replace(strategy, optimiser=replace(rule, iterations=1))


def judged(passed: bool, sentence: str, **numbers: float) -> Outcome:
    """Give the outcome of a check that was tried."""
    # numpy's own truth is not Python's: `numpy.False_ is False` does not hold.
    plain = {name: float(value) for name, value in numbers.items()}
    return Outcome(passed=bool(passed), sentence=sentence, numbers=plain)


def not_due(reason: str) -> Outcome:
    """Give the outcome where the claim is not about the strategy."""
    return Outcome(passed=None, sentence=reason)


def unjudged(reason: str) -> Outcome:
    """Give the outcome where the claim is about the strategy, and nothing here can judge it."""
    return Outcome(passed=None, sentence=reason, word=UNJUDGED)
