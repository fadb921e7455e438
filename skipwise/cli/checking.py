"""``check``."""

from collections.abc import Iterable, Sequence
from typing import Any

from skipwise.cli.words import Flag, find_strategy, print_json

WORDS = {True: "yes", False: "NO", None: "-"}


def check(*names: str, strategies: Flag = False, json: Flag = False) -> None:
    """Check strategies against their formulas and promises; exit code 1 if one fails.

    A strategy is tried on problems of a few numbers in float64: does it equal its formula, is every
    hyper-parameter alive, does decay act where it is due, is a resume exact, and so on. What fails
    is said with its reason.

    Args:
        names: Strategies to check, or package.module:function that returns a strategy or an
            optimiser of your own.
        strategies: Check every named strategy.
        json: Print outcomes, sentences and numbers as one JSON object.

    Raises:
        ValueError: If nothing is named, or there is no such strategy.
        SystemExit: With 1 if a check fails.
    """
    from skipwise.conformity import CHECKS, certify, versions

    chosen = _chosen(names, every=strategies)
    heads = [entry.name for entry in CHECKS]
    found = []
    for certificate in certify(chosen):
        found.append(certificate)
        if not json:
            _print_row(certificate, heads, first=len(found) == 1, width=_width(chosen))
    failed = [certificate.strategy for certificate in found if not certificate.passed]
    if json:
        rows = [certificate.plain() for certificate in found]
        print_json({"versions": versions(), "failed": failed, "strategies": rows})
    else:
        _print_end(found, versions())
    if failed:
        raise SystemExit(1)


def _chosen(names: Sequence[str], *, every: bool) -> list[Any]:
    from skipwise.conformity import own_strategy
    from skipwise.strategies import named_strategies

    if names:
        return [own_strategy(name) if ":" in name else find_strategy(name) for name in names]
    if every:
        return [make() for make in named_strategies().values()]
    raise ValueError(
        "say what to check: --strategies for all, names of some (skipwise list strategies), or"
        " package.module:function of your own"
    )


def _width(chosen: Iterable[Any]) -> int:
    return max(len(strategy.name) for strategy in chosen)


def _print_row(certificate: Any, heads: Sequence[str], *, first: bool, width: int) -> None:
    if first:
        print(" " * width, *heads, sep="  ", flush=True)
    marks = (WORDS[certificate.outcomes[head].passed].center(len(head)) for head in heads)
    print(certificate.strategy.ljust(width), *marks, sep="  ", flush=True)


def _print_end(found: Sequence[Any], of: dict[str, str]) -> None:
    for certificate in found:
        for name, sentence in certificate.failures.items():
            print(f"{certificate.strategy}, {name}: {sentence}")
    passed = sum(certificate.passed for certificate in found)
    print(f"{passed} of {len(found)} strategies pass; - : the claim is not about this strategy")
    print("with " + ", ".join(f"{name} {value}" for name, value in of.items()))
