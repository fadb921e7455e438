"""The certificate: every strategy by every check, and the versions that it holds for."""

import platform
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from skipwise.conformity.checks import CHECKS
from skipwise.conformity.outcome import Check, Outcome
from skipwise.strategies import Strategy

PACKAGES = ("torch", "pytorch-optimizer", "numpy")
MARKS = {True: "yes", False: "**no**", None: "–"}


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """What the checks found for one strategy.

    Args:
        strategy: Its name.
        outcomes: By the name of the check.
    """

    strategy: str
    outcomes: Mapping[str, Outcome]

    @property
    def passed(self) -> bool:
        """Whether no check failed, and one at least could be tried."""
        return self.tried and not self.failures

    @property
    def tried(self) -> bool:
        """Whether any check could be tried; none can where the rule's package is missing."""
        return any(outcome.passed is not None for outcome in self.outcomes.values())

    @property
    def failures(self) -> dict[str, str]:
        """The sentence of each check that failed, by name."""
        return {n: o.sentence for n, o in self.outcomes.items() if o.passed is False}

    def plain(self) -> dict[str, Any]:
        """Give it as JSON has it."""
        return {"strategy": self.strategy, "passed": self.passed, "tried": self.tried} | {
            "checks": {
                name: {"passed": o.passed, "sentence": o.sentence, **_shown(o), **o.numbers}
                for name, o in self.outcomes.items()
            }
        }


def certify(
    strategies: Iterable[Strategy], checks: Iterable[Check] = CHECKS
) -> Iterator[Certificate]:
    """Try every check on every strategy, one strategy after another."""
    checks = tuple(checks)
    for strategy in strategies:
        outcomes = {check.name: check(strategy) for check in checks}
        yield Certificate(strategy=strategy.name, outcomes=outcomes)


def versions() -> dict[str, str]:
    """Give the versions that a certificate holds for."""
    return {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}}


def _shown(outcome: Outcome) -> dict[str, str]:
    return {"shown": outcome.shown} if outcome.shown else {}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
