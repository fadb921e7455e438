"""``report`` and ``diagnose``."""

import re
import shlex
import sys
import webbrowser
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from skipwise.cli.app import leave
from skipwise.cli.words import Flag, Words, find_network, find_strategy, print_json
from skipwise.reports import report as write_report

LEVELS = ("FAIL", "WARN", "INFO", "UNKNOWN", "PASS")  # the worst first


def report(*runs: Path, out: Path | None = None, open: Flag = False, json: Flag = False) -> None:
    """Write the report of a run, also of one that goes on or broke off; several stand side by side.

    Args:
        runs: Folders of runs.
        out: The file; report.html in the run's folder if left out, of several runs
            comparison.html in the current folder.
        open: Open it in the browser.
        json: Print the result as one JSON object.
    """
    try:
        page = write_report(*runs, out=out)
    except OSError as error:
        leave(
            f"the report cannot be written: {error.strerror}: {error.filename or out or 'here'};"
            " the runs are as they were; name another place with --out"
        )
    if open:
        webbrowser.open(page.resolve().as_uri())
    if json:
        print_json({"report": str(page), "runs": [str(run) for run in runs]})
    else:
        print(f"report: {page}")


def diagnose(
    what: str,
    /,
    *,
    data: str | None = None,
    strategy: str | None = None,
    sites: str | None = None,
    deep: Flag = False,
    out: Path | None = None,
    allow: Words = (),
    quiet: Flag = False,
    json: Flag = False,
) -> None:
    """Measure a run or a network, and say what is wrong with it, with numbers and a cure.

    A run may be finished, running or broken off: it is taken up as of its last save, and nothing
    of it is changed. The exit code is 1 if a rule accuses.

    Args:
        what: A run's folder; or, before it is trained, a network's name (skipwise list networks) or
            package.module:function of your own, with --data.
        data: What the network is to be trained on, as for train.
        strategy: How it is to be trained (skipwise list strategies); chosen by the task if left
            out.
        sites: The blocks, by a pattern of the names of modules, * standing for one part:
            'encoder.layers.*'; found if left out.
        deep: Measure all there is, Hessian and Jacobians too: ten minutes at most, not one.
        out: Where diagnosis.json and its page go; the run's folder if left out, for a network
            diagnosis- and its name.
        allow: A package of yours that the run names.
        quiet: Show no progress.
        json: Print the result as one JSON object.

    Raises:
        SystemExit: With 1 if a rule accuses.
    """
    from skipwise.diagnosing import diagnose as examined
    from skipwise.diagnosing import page_in
    from skipwise.diagnosis import Level

    subject = _subject(what, data=data, strategy=strategy)
    folder = out or (subject if isinstance(subject, Path) else Path(f"diagnosis-{_plain(what)}"))
    found = examined(
        subject,
        data=data,
        strategy=None if strategy is None else find_strategy(strategy),
        sites=sites,
        deep=deep,
        out=folder,
        allow=allow,
        progress=None if quiet or json else _tell,
        command=_again(
            what, allow, data=data, strategy=strategy, sites=sites, deep=deep or None, out=out
        ),
    )
    if json:
        print_json({**found.as_plain(), "page": str(page_in(folder))})
    else:
        print("\n".join([*_lines(found), f"page: {page_in(folder)}"]))
    if found.of(Level.FAIL):
        raise SystemExit(1)


def _plain(what: str) -> str:
    """Write the name of a network as a part of a file's name."""
    return re.sub(r"[^\w.-]+", "-", what)


def _again(what: str, allow: Words, **options: Any) -> str:
    """Write the command down."""
    words = ["skipwise", "diagnose", what]
    for name, value in options.items():
        if value is not None:
            words += [f"--{name}", *(() if value is True else (str(value),))]
    words += [part for package in allow for part in ("--allow", package)]
    return shlex.join(words)


def _subject(what: str, *, data: str | None, strategy: str | None) -> Any:
    """Tell a run's folder from a network, and refuse what has no effect.

    Raises:
        ValueError: If it is neither, or its data are missing or not asked for.
    """
    path = Path(what)
    if path.is_dir():
        stray = "--data" if data is not None else "--strategy" if strategy is not None else ""
        if stray:
            raise ValueError(f"{what} is a folder, and a run says that itself; leave {stray} out")
        return path
    if path.exists() or (":" not in what and ("/" in what or path.suffix)):
        raise ValueError(
            f"{what} {'is a file and' if path.exists() else 'does not exist and'} is no run's"
            " folder; runs lie below runs/, and a network that is not trained"
            " yet is named, or given as package.module:function"
        )
    network = find_network(what)
    if data is None:
        raise ValueError(
            f"say what data the network is for: skipwise diagnose {what} --data digits"
        )
    return network


def _tell(name: str) -> None:
    print(f"measuring: {name}", file=sys.stderr, flush=True)


def _lines(found: Any) -> Iterator[str]:
    """Write the headline and the verdicts, the worst first; what was passed stands in one line.

    What accuses or warns comes with all that speaks for it; of the rest the page has the numbers.
    """
    of = found.facts.get("of")
    yield f"{of}: {found.headline()}" if of else found.headline()
    for level in LEVELS:
        verdicts = [verdict for verdict in found.verdicts if verdict.level == level]
        if level == "PASS" and verdicts:
            passed = ", ".join(f"{v.rule} {v.name}" for v in verdicts)
            yield f"{level:7} {passed}"
            continue
        for verdict in verdicts:
            first, *others = str(verdict).splitlines()
            yield first
            yield from others if level in ("FAIL", "WARN") else _cure(verdict)
    for why, names in _grouped(found.failed).items():
        yield f"not measured: {', '.join(names)}: {why}"


def _cure(verdict: Any) -> list[str]:
    return [f"            cure: {verdict.cure}"] if verdict.cure else []


def _grouped(failed: Mapping[str, str]) -> dict[str, list[str]]:
    """Bring those together that failed for the same reason."""
    found: dict[str, list[str]] = {}
    for name, why in failed.items():
        found.setdefault(why, []).append(name)
    return found
