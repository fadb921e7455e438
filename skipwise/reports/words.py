"""Numbers and commands as a reader wants them."""

import math
import shlex
from collections.abc import Iterable
from pathlib import Path

PLAIN_NAMES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "f1": "F1, mean over classes",
    "loss": "loss",
    "rmse": "RMSE",
    "r2": "R²",
    "top5": "top-5 accuracy",
    "calibration_error": "calibration error",
    "exact": "all labels right",
    "precision": "precision",
    "recall": "recall",
}
SHARES = {"accuracy", "balanced_accuracy", "top5", "exact", "f1", "precision", "recall"}


def percent(share: float, digits: int = 1) -> str:
    """Write a share.

    What would be rounded to nothing or to all is told apart from them.

    >>> percent(0.97493), percent(1.0), percent(0.0002), percent(0.9999)
    ('97.5 %', '100 %', '< 0.1 %', '> 99.9 %')
    """
    if not math.isfinite(share):
        return "not finite"
    least = 10.0 ** -(2 + digits)
    if 0 < share < least / 2:
        return f"< {100 * least:.{digits}f} %"
    if 1 - least / 2 < share < 1:
        return f"> {100 - 100 * least:.{digits}f} %"
    return f"{100 * share:.{digits}f}".removesuffix("." + "0" * digits) + " %"


def number(value: float) -> str:
    """Write a number with about four digits; a whole one as it is.

    >>> number(0.123456), number(1234567), number(1e38), number(float("nan"))
    ('0.1235', '1,234,567', '1e+38', 'not finite')
    """
    if isinstance(value, int):
        return f"{value:,}"
    if not math.isfinite(value):
        return "not finite"
    digits = f"{value:.4g}"
    return f"{value:,.0f}" if 10_000 <= abs(float(digits)) < 1e15 else digits


def value_of(metric: str, value: float) -> str:
    """Write a metric: a share as per cent, others as numbers."""
    return percent(value) if metric in SHARES else number(value)


def duration(seconds: float) -> str:
    """Write a time in the unit that it has when rounded.

    >>> duration(0.0312), duration(75), duration(7320)
    ('31.2 ms', '1 min 15 s', '2 h 2 min')
    """
    if not math.isfinite(seconds):
        return "not finite"
    if float(f"{1000 * seconds:.3g}") < 1000:
        return f"{1000 * seconds:.3g} ms"
    if float(f"{seconds:.3g}") < 60:
        return f"{seconds:.3g} s"
    if round(seconds) < 3600:
        return "{} min {} s".format(*divmod(round(seconds), 60))
    return "{} h {} min".format(*divmod(round(seconds / 60), 60))


def counted(count: int, noun: str) -> str:
    """Write a count with its noun.

    >>> counted(1, "step"), counted(1200, "step")
    ('1 step', '1,200 steps')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def command_line(
    verb: str, path: str | Path, packages: Iterable[str] = (), *, processes: int = 1
) -> str:
    """Write a command that can be pasted into a shell.

    >>> command_line("resume", "a run", ["own"], processes=2)
    "torchrun --standalone --nproc-per-node 2 -m skipwise resume 'a run' --allow own"
    """
    words = ["skipwise", verb, str(path)]
    words += [word for package in packages for word in ("--allow", package)]
    if processes > 1:
        words = ["torchrun", "--standalone", "--nproc-per-node", str(processes), "-m", *words]
    return shlex.join(words)
