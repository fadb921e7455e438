"""All verdicts on a model, the measurements behind them, and the sentence that sums them up."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, final

from skipwise.analysis import Measurement
from skipwise.diagnosis.verdict import Level, Verdict
from skipwise.records import finite

HEALTH = ("V0", "V1", "V2", "V3", "V4", "V5", "V11")  # measured and passed: healthy


@final
@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """What was measured, and what it means.

    Args:
        verdicts: One for each rule, in the order of their numbers.
        measurements: By a short name (``signal``, ``gradient split``), in the order measured.
        facts: Of what it is: the model, its blocks, the data, the mode, seconds; plain values.
        failed: Measurements that could not be made, by their short name, with the sentence why.
    """

    verdicts: tuple[Verdict, ...]
    measurements: Mapping[str, Measurement] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)

    def of(self, level: Level) -> tuple[Verdict, ...]:
        """Give the verdicts of one level."""
        return tuple(verdict for verdict in self.verdicts if verdict.level is level)

    @property
    def healthy(self) -> bool:
        """Whether every rule of health was measured and passed."""
        levels = {verdict.rule: verdict.level for verdict in self.verdicts}
        return all(levels.get(rule) is Level.PASS for rule in HEALTH)

    def headline(self) -> str:
        """Say in one sentence what was found, and no more than was measured."""
        failed, warned = self.of(Level.FAIL), self.of(Level.WARN)
        if failed:
            return "Fault found: " + "; ".join(f"{v.name} ({v.rule})" for v in failed) + "."
        if warned:
            return (
                "No fault, but look at: " + "; ".join(f"{v.name} ({v.rule})" for v in warned) + "."
            )
        if self.healthy:
            return "Healthy: every rule of health was measured and passed."
        unknown = ", ".join(v.rule for v in self.of(Level.UNKNOWN))
        told = ", ".join(v.rule for v in self.of(Level.INFO) if v.rule in HEALTH)
        beside = f"; not known: {unknown}" * bool(unknown) + f"; read what {told} says" * bool(told)
        return f"No fault found{beside}."

    def __str__(self) -> str:
        """Write headline, verdicts and what could not be measured."""
        lines = [self.headline(), *map(str, self.verdicts)]
        lines += [f"not measured: {name}: {why}" for name, why in self.failed.items()]
        return "\n".join(lines)

    def as_plain(self) -> dict[str, Any]:
        """Give what JSON can write: headline, verdicts, measurements, facts, failures."""
        return {
            "headline": self.headline(),
            "verdicts": [verdict.as_plain() for verdict in self.verdicts],
            "measurements": {name: m.as_plain() for name, m in self.measurements.items()},
            "facts": finite(dict(self.facts)),
            "failed": dict(self.failed),
        }
