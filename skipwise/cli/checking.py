"""``check`` and ``selftest``."""

from collections.abc import Iterable, Sequence
from typing import Any

from skipwise.cli.words import Flag, Whole, Words, find_strategy, print_json

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
        SystemExit: With 1 if a check fails, with 2 if what is named cannot be checked.
    """
    from skipwise.conformity import CHECKS, certify, versions

    chosen = _chosen(names, every=strategies)
    heads = [entry.name for entry in CHECKS]
    found = []
    for certificate in certify(chosen):
        found.append(certificate)
        if not json:
            _print_row(certificate, heads, first=len(found) == 1, width=_width(chosen))
    failed = [certificate.strategy for certificate in found if certificate.failures]
    if json:
        rows = [certificate.plain() for certificate in found]
        print_json({"versions": versions(), "failed": failed, "strategies": rows})
    else:
        _print_end(found, versions())
    if failed:
        raise SystemExit(1)
    if names and not all(certificate.tried for certificate in found):
        raise SystemExit(2)


def selftest(
    *,
    seeds: Whole = 1,
    case: Words = (),
    json: Flag = False,
    quiet: Flag = False,
) -> None:
    """Plant faults and see that diagnose finds them, and accuses no healthy twin of them.

    Every fault has a twin from the same seed that lacks it, and there are healthy networks that
    look faulty to a careless rule. Found is a FAIL of the rule that the fault is for; of a WARN
    where that rule never gives more. A twin is accused by a FAIL of any rule. Exit code 1 unless
    all faults are found and no twin is accused.

    Args:
        seeds: Networks of each kind.
        case: Only this case; may be given several times, or with commas.
        json: Print all trials as one JSON object.
        quiet: Print the counts alone.

    Raises:
        ValueError: If there is no such case, or no seed.
        SystemExit: With 1 if a fault is missed or a twin accused.
    """
    from skipwise.selftest import SelftestRecord, choose, facts, trials

    names = tuple(name for words in case for name in words.split(","))
    width = max(len(each.name) for each in choose(names))
    done = []
    for trial in trials(seeds=seeds, cases=names):
        done.append(trial)
        last = sum(each.case == trial.case for each in done) == seeds
        if last and not json and not quiet:
            print(SelftestRecord(trials=tuple(done)).of(trial.case).line(width), flush=True)
    record = SelftestRecord(trials=tuple(done), facts=facts())
    if json:
        print_json(record.as_plain())
    else:
        print(record.counts())
    if not record.passed:
        raise SystemExit(1)


def _chosen(names: Sequence[str], *, every: bool) -> list[Any]:
    from skipwise.strategies import named_strategies

    if names and every:
        raise ValueError("--strategies checks all of them; leave the names out")
    if names:
        return [find_strategy(name) for name in names]
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
    marks = (certificate.outcomes[head].mark(WORDS).center(len(head)) for head in heads)
    print(certificate.strategy.ljust(width), *marks, sep="  ", flush=True)


def _print_end(found: Sequence[Any], of: dict[str, str]) -> None:
    from skipwise.conformity import LESS, NOT_OURS, UNJUDGED

    for certificate in found:
        for name, sentence in certificate.failures.items():
            print(f"{certificate.strategy}, {name}: {sentence}")
        if not certificate.tried:
            first = next(iter(certificate.outcomes.values()))
            print(f"{certificate.strategy} was not checked: {first.sentence}")
    passed = sum(certificate.passed for certificate in found)
    print(f"{passed} of {len(found)} strategies pass; - : the claim is not about this strategy")
    shown = {outcome.shown for each in found for outcome in each.outcomes.values()}
    for word, meaning in {UNJUDGED: NOT_OURS, **LESS}.items():
        if word in shown:
            print(f"{word}: {meaning}")
    print("with " + ", ".join(f"{name} {value}" for name, value in of.items()))
