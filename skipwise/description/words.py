"""What is said of names: which one was meant, and whose line an error passed."""

import difflib
import sys
import sysconfig
import traceback
from collections.abc import Iterable
from itertools import takewhile
from pathlib import Path

HERE = Path(__file__).parent.parent


def nearest(word: str, words: Iterable[str], unlisted: Iterable[str] = ()) -> str:
    """Say which known word is meant: ``"; did you mean 'resnet20'?"``, or list the words there are.

    Of two that are equally near, the one that begins alike is meant. Those that are ``unlisted``
    may be meant too.
    """
    known = sorted(words)

    def likeness(other: str) -> tuple[float, int]:
        ratio = difflib.SequenceMatcher(None, word.lower(), other.lower()).ratio()
        same = takewhile(lambda pair: pair[0] == pair[1], zip(word, other, strict=False))
        return ratio, len(list(same))

    best = max([*known, *sorted(unlisted)], key=likeness, default="")
    if best and likeness(best)[0] >= 0.6:
        return f"; did you mean {best!r}?"
    return f"; there are {', '.join(known)}" if known else "; there are none"


def line_in_own_code(error: BaseException) -> str:
    """Name the last line of the user's own code that an error passed; empty if there is none."""
    installed = {sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")}
    ours = (str(HERE), sys.prefix, sys.base_prefix, "<", *installed)
    frames = [
        f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith(ours)
    ]
    return f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""
