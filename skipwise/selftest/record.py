"""What the selftest found: one trial for each case and seed, and the counts over all of them."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, final


@final
@dataclass(frozen=True, kw_only=True)
class Trial:
    """One case with one seed.

    Args:
        case: Its name.
        seed: From which both specimens were built.
        rule: The rule that had to find the fault; empty where none was planted.
        found: Whether it did; None where none was planted.
        level: What that rule said of the faulty specimen.
        says: The sentence with it.
        accused: Rules that gave the twin a FAIL, with their sentences.
        warned: Rules that gave it a WARN, likewise.
        measured: Rules that had the numbers to judge the twin.
        seconds: For both.
        broken: Why an examination stopped; empty where none did.
    """

    case: str
    seed: int
    rule: str = ""
    found: bool | None = None
    level: str = ""
    says: str = ""
    accused: Mapping[str, str] = field(default_factory=dict)
    warned: Mapping[str, str] = field(default_factory=dict)
    measured: tuple[str, ...] = ()
    seconds: float = 0.0
    broken: str = ""

    @property
    def unjudged(self) -> bool:
        """Whether the rule that had to find the fault could not judge the twin."""
        return bool(self.rule) and not self.broken and self.rule not in self.measured

    @property
    def passed(self) -> bool:
        """Whether the fault was found, and the twin was judged by its rule and is not accused."""
        return (
            not self.unjudged and self.found is not False and not self.accused and not self.broken
        )


@final
@dataclass(frozen=True, kw_only=True)
class SelftestRecord:
    """All trials, and what they add up to.

    Args:
        trials: In the order in which they were tried.
        facts: Of what was tested: versions, seeds; plain values.
    """

    trials: tuple[Trial, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def planted(self) -> tuple[Trial, ...]:
        """The trials with a fault."""
        return tuple(trial for trial in self.trials if trial.found is not None)

    @property
    def found(self) -> int:
        """How many faults were found."""
        return sum(trial.found is True for trial in self.trials)

    @property
    def accused(self) -> int:
        """How many healthy twins got a FAIL from any rule."""
        return sum(bool(trial.accused) for trial in self.trials)

    @property
    def warned(self) -> int:
        """How many healthy twins got a WARN from any rule, and no FAIL."""
        return sum(bool(trial.warned) and not trial.accused for trial in self.trials)

    @property
    def broken(self) -> int:
        """How many trials stopped with an error."""
        return sum(bool(trial.broken) for trial in self.trials)

    @property
    def passed(self) -> bool:
        """Whether anything was tried, every fault found, no twin accused and nothing broken."""
        return bool(self.trials) and all(trial.passed for trial in self.trials)

    def of(self, case: str) -> "SelftestRecord":
        """Give the trials of one case."""
        chosen = tuple(trial for trial in self.trials if trial.case == case)
        return SelftestRecord(trials=chosen, facts=self.facts)

    def cases(self) -> tuple[str, ...]:
        """Name the cases that were tried, in their order."""
        return tuple(dict.fromkeys(trial.case for trial in self.trials))

    def counts(self) -> str:
        """Say it in one line.

        >>> SelftestRecord(trials=(Trial(case="dead", seed=0, rule="V5", found=True),)).counts()
        'faults found 1 of 1, twins accused 0 of 1, twins warned 0 of 1'
        """
        shown = len(self.trials)
        said = (
            f"faults found {self.found} of {len(self.planted)}, twins accused {self.accused} of"
            f" {shown}, twins warned {self.warned} of {shown}"
        )
        return f"{said}, examinations stopped by an error {self.broken}" if self.broken else said

    def line(self, width: int = 0) -> str:
        """Say what trials of one case gave: a line, and one more for each thing to look at.

        >>> trial = Trial(
        ...     case="dead", seed=0, rule="V5", found=True, measured=("V5",), seconds=1.25
        ... )
        >>> SelftestRecord(trials=(trial,)).line(8)
        'dead      V5   found              twin clean             1.2 s'
        """
        name, rule = self.trials[0].case, self.trials[0].rule
        seconds = sum(trial.seconds for trial in self.trials)
        fault, twin = self._fault(), self._twin()
        line = f"{name:{width}}  {rule:3}  {fault:17}  {twin:21}  {seconds:.1f} s"
        return "\n".join([line, *self._notable()])

    def _fault(self) -> str:
        count = len(self.planted)
        if not count:
            return "-"
        if count == 1:
            return "found" if self.found else "MISSED"
        return f"found {self.found} of {count}"

    def _twin(self) -> str:
        if len(self.trials) == 1:
            first = self.trials[0]
            rules = ", ".join(first.accused or first.warned)
            word = "twin ACCUSED" if first.accused else "twin warned"
            return f"{word} {rules}" if rules else "twin clean"
        shown = f"of {len(self.trials)} twins"
        return f"{shown} {self.accused} accused, {self.warned} warned"

    def _notable(self) -> list[str]:
        """Give a line for each fault missed, twin accused or unjudged, and examination stopped."""
        lines = []
        for trial in self.trials:
            head = f"    seed {trial.seed}"
            if trial.found is False and not trial.broken:
                lines.append(f"{head}, missed: {trial.rule} is {trial.level}: {trial.says}")
            lines += [f"{head}, accused by {rule}: {why}" for rule, why in trial.accused.items()]
            if trial.unjudged:
                lines.append(f"{head}, not judged: {trial.rule} is UNKNOWN of the healthy network")
            if trial.broken:
                lines.append(f"{head}, stopped: {trial.broken}")
        return lines

    def as_plain(self) -> dict[str, Any]:
        """Give what JSON can write."""
        return {
            "passed": self.passed,
            "counts": self.counts(),
            "faults": {"found": self.found, "planted": len(self.planted)},
            "twins": {
                "accused": self.accused,
                "warned": self.warned,
                "shown": len(self.trials),
            },
            "broken": self.broken,
            "facts": dict(self.facts),
            "trials": [asdict(trial) | {"passed": trial.passed} for trial in self.trials],
        }
