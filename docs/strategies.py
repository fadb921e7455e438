"""Write docs/strategies.md: which strategies there are, and what the conformity checks find.

``OMP_NUM_THREADS=1 python -m docs.strategies`` writes it, in some minutes; the table holds for the
versions that it names.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from skipwise.conformity import CHECKS, LESS, MARKS, Certificate, certify, versions
from skipwise.strategies import Strategy, named_strategies
from tests.conformity.planted import PLANTED, planted

FILE = Path(__file__).with_suffix(".md")
INTRODUCTION = """# Do the strategies compute what they say

Written by `python -m docs.strategies`; do not edit it by hand. `skipwise check --strategies` prints
the same for your machine, `skipwise check adam` for one of them, and for one of your own
`skipwise check package.module:function`. Checks run in float64 on the CPU, on parameters of every
kind (stem, branch, norm, bias, scale, head), and on a small residual network through the real
training loop. `?` stands where a claim cannot be judged for what is your own.
"""


def document() -> str:
    """Write the whole file."""
    makers = named_strategies()
    found = list(certify(make() for make in makers.values()))
    parts = [INTRODUCTION, f"\nHolds for {_versions()}.\n", _table(found), _failures(found)]
    return "\n".join([*parts, _claims(), _planted(), _catalogue(makers)])


def _versions() -> str:
    return ", ".join(f"{name} {value}" for name, value in versions().items())


def _table(found: Sequence[Certificate]) -> str:
    heads = [check.name for check in CHECKS]
    rows = [f"| strategy | {' | '.join(heads)} |", f"|---|{'---|' * len(heads)}"]
    for certificate in found:
        marks = (certificate.outcomes[head].mark(MARKS) for head in heads)
        rows.append(f"| `{certificate.strategy}` | {' | '.join(marks)} |")
    less = " ".join(f"{word}: {meaning}." for word, meaning in LESS.items())
    return "\n".join([*rows, "", f"–: the claim is not about this strategy. {less}", ""])


def _failures(found: Sequence[Certificate]) -> str:
    lines = [
        f"* `{certificate.strategy}`, {name}: {sentence}."
        for certificate in found
        for name, sentence in certificate.failures.items()
    ]
    return "\n".join(["## What fails, and why", "", *(lines or ["Nothing."]), ""])


def _claims() -> str:
    lines = [f"* **{check.name}**: {check.claim}." for check in CHECKS]
    return "\n".join(["## The claims", "", *lines, ""])


def _planted() -> str:
    """Plant every bug that the tests plant, and tell which checks find it."""
    rows, caught = [], 0
    for bug, (_, expected) in PLANTED.items():
        with planted(bug) as strategy:
            (certificate,) = certify([strategy])
        caught += set(expected) <= certificate.failures.keys()
        rows.append(f"| {bug} | {', '.join(certificate.failures)} |")
    head = ["## Planted bugs", "", f"Caught: {caught} of {len(PLANTED)}.", ""]
    return "\n".join([*head, "| bug | found by |", "|---|---|", *rows, ""])


def _catalogue(makers: dict[str, Callable[[], Strategy]]) -> str:
    lines = []
    for name, make in makers.items():
        sentence = " ".join((make.__doc__ or "").split("\n\n")[0].split())
        lines.append(f"* `{name}`: {sentence} Rate {make().stated_rate}.")
    return "\n".join(["## The strategies", "", *lines, ""])


if __name__ == "__main__":
    FILE.write_text(document())
