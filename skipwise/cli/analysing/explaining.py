"""``explain``."""

import sys
from pathlib import Path

from skipwise.cli.words import Flag, Whole, print_json


def explain(
    topic: str,
    /,
    *,
    out: Path | None = None,
    data: str = "digits",
    seed: Whole = 0,
    seconds: float = 120.0,
    quiet: Flag = False,
    json: Flag = False,
) -> None:
    """Give a lesson, computed here in two minutes: measurement, theory over it, one page.

    depth: where gradients vanish and explode in plain and residual networks of 8 to 110 layers,
    where norms are healthy and training degrades all the same, and what the skip changes.

    Args:
        topic: depth.
        out: The page; depth.html in the current folder if left out.
        data: What train takes, with classes: a name, a folder, a file.
        seed: The first seed; the others follow it.
        seconds: Time for all of it; deep networks are left out rather than more taken.
        quiet: Tell nothing of what goes on.
        json: Print all numbers as one JSON object.
    """
    from skipwise.lessons import explain as give

    found = give(
        topic,
        out=out or Path(f"{topic}.html"),
        data=data,
        seed=seed,
        seconds=seconds,
        tell=_quietly if quiet or json else _aloud,
    )
    if json:
        print_json(found.as_plain())
    else:
        print(found)


def _aloud(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


def _quietly(sentence: str) -> None:
    pass
