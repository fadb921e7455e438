"""The program: its commands, and what becomes of errors."""

import dataclasses
import os
import re
import sys
import time
from collections.abc import Sequence
from errno import EACCES, EPERM
from typing import NoReturn

from cyclopts import App, CycloptsError, UnknownOptionError

from skipwise.description import line_in_own_code
from skipwise.files import FULL

# The clock of --time begins with the program, not with the first step.
STARTED = time.perf_counter()
TRACEBACK = "SKIPWISE_TRACEBACK"
TAKE_ASSIGNMENTS = (["--set"], ["--vary"])
ASSIGNMENT = re.compile(r"[A-Za-z][\w.-]*=")

app = App(
    name="skipwise",
    help="Train residual networks, compare strategies, explain why one works.",
    help_epilogue=(
        "key=value works like --key=value. SKIPWISE_DEVICE=cpu, cuda or cuda:1 in the environment"
        " chooses the device. More: skipwise COMMAND --help"
    ),
    version_flags=["--version"],
    suppress_keyboard_interrupt=False,
)
COMMANDS = (
    ("train", "training:train", "Train a network on data and leave a run."),
    ("resume", "training:resume", "Go on with a run, or make it longer."),
    ("transfer", "tuning:transfer", "Measure whether a run's rate holds for a deeper network."),
    ("find-rate", "tuning:find_rate", "Find the learning rate for data, a network, a strategy."),
    ("evaluate", "using:evaluate", "Score a run on its test part or on other data."),
    ("predict", "using:predict", "Predict the classes of picture files."),
    ("export", "exporting:export_run", "Write a run as one file for others: ONNX, .pt2, .pth."),
    ("compare", "comparing:compare", "Compare networks and strategies, and say how sure it is."),
    ("report", "reporting:report", "Write the report of a run, or of several side by side."),
    (
        "explain",
        "analysing.explaining:explain",
        "Give a lesson, computed here: depth.",
    ),
    (
        "list",
        "showing:list_names",
        "List networks, strategies, connections, augmentations, recipes or data.",
    ),
    ("describe", "showing:describe", "Show sizes of a network, or the values of a strategy."),
    ("diagnose", "reporting:diagnose", "Measure a run or a network; say what is wrong with it."),
    ("check", "checking:check", "Check that strategies compute what they say."),
    (
        "selftest",
        "checking:selftest",
        "Plant faults and see that diagnose finds them and accuses no healthy network.",
    ),
    ("doctor", "showing:doctor", "Show versions, devices, precision and what is missing."),
)
for _name, _place, _help in COMMANDS:
    app.command(f"skipwise.cli.{_place}", name=_name, help=_help)


HAVE_OPTIONS = ("augmentation", "seed", "epochs", "steps", "seconds")  # called otherwise, or none
HAVE_FIELDS = ("train", "resume", "compare", "find-rate")  # which --set changes
TOGETHER = ("train", "resume")  # what several processes can do


def main(words: Sequence[str] | None = None) -> None:
    """Run the command that the words name, and leave with its exit code."""
    if not _are_several():
        run(words)
        return
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # torch's hints come once a process
    code = 0
    try:
        run(words)
    except SystemExit as end:
        code = int(end.code or 0)
    # Threads of torch.distributed that outlive the interpreter would abort the process.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def run(words: Sequence[str] | None = None) -> None:
    """Run the command that the words name; what goes wrong becomes a sentence and an exit code."""
    sys.path.insert(0, os.getcwd())  # package.module:function names what lies in the user's folder
    given = normalised(list(sys.argv[1:] if words is None else words))
    try:
        if _are_several():
            _join(given[0] if given else "")
        app(given, exit_on_error=False, print_error=False)
    except KeyboardInterrupt:
        leave("stopped; what was saved before is as it was", code=130)
    except BrokenPipeError:
        # A reader such as head had enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Exception as error:
        if os.environ.get(TRACEBACK, "0") != "0":
            raise
        field = _as_field(error, given[0]) if isinstance(error, UnknownOptionError) else ""
        leave(field or sentence_of(error))


def _as_field(error: UnknownOptionError, command: str) -> str:
    """Say how what is no option is set as a field of the experiment; nothing if it is none."""
    from skipwise.experiment import Experiment
    from skipwise.networks import ResNet
    from skipwise.strategies import Strategy

    option = (error.token.keyword or error.token.value or "").partition("=")[0]
    word = option.lstrip("-").replace("-", "_")
    if command not in HAVE_FIELDS or word in HAVE_OPTIONS:
        return ""
    new = {"": Experiment, "network.": ResNet} if command != "resume" else {}
    for prefix, kind in {**new, "strategy.": Strategy}.items():
        if word in (field.name for field in dataclasses.fields(kind)):
            return f"there is no option {option}, but a field: --set {prefix}{word}=…"
    return ""


def sentence_of(error: Exception) -> str:
    """Say what is wrong; of an error that no check foresaw, how to see where it comes from."""
    if _are_several() and _is_loss_of_another(error):
        return "another process of this run ended, so this one ends too; what was saved is there"
    if isinstance(error, OSError):
        where = f": {error.filename}" if error.filename else ""
        advice = "make room or rights; " if error.errno in (*FULL, EACCES, EPERM) else ""
        return f"{error.strerror or error}{where}; {advice}what was saved before is as it was"
    if isinstance(error, CycloptsError | ValueError | TypeError):
        return f"{error}{line_in_own_code(error)}"
    if isinstance(error, MemoryError) or re.search("out of memory|t allocate memory", str(error)):
        return "there is not enough memory; train with a smaller --batch-size or more --parts"
    what = f"{type(error).__name__}: {error}{line_in_own_code(error)}"
    return f"{what}; set {TRACEBACK}=1 to see where it comes from"


def normalised(words: list[str]) -> list[str]:
    """Rewrite ``key=value`` to ``--key=value``, and ``a.b=value`` to ``--set a.b=value``.

    ``--ray`` without an address means a cluster on this machine.

    >>> normalised(["train", "digits", "epochs=3", "strategy.peak_lr=0.1", "--set", "seed=1"])
    ['train', 'digits', '--epochs=3', '--set', 'strategy.peak_lr=0.1', '--set', 'seed=1']
    >>> normalised(["compare", "digits", "--ray", "--seeds", "8"])
    ['compare', 'digits', '--ray', 'local', '--seeds', '8']
    """
    found: list[str] = []
    for word, following in zip(words, [*words[1:], "--"], strict=True):
        if re.match(r"-\d", word) and found and re.fullmatch(r"--[^=]+", found[-1]):
            found[-1] += f"={word}"  # a negative value is no option
        elif word == "--ray" and (following.startswith("-") or ASSIGNMENT.match(following)):
            found += [word, "local"]
        elif not ASSIGNMENT.match(word) or os.path.exists(word) or found[-1:] in TAKE_ASSIGNMENTS:
            found.append(word)
        elif "." in word.partition("=")[0]:
            found += ["--set", word]
        else:
            found.append(f"--{word}")  # one word, as a flag takes true or false only so
    return found


def leave(sentence: str, *, code: int = 2) -> NoReturn:
    """Print one sentence and leave; of several processes the first that knows it prints.

    Raises:
        SystemExit: Always.
    """
    if not _are_several() or _is_first_to_tell():
        print(f"skipwise: {' '.join(sentence.split())}", file=sys.stderr, flush=True)
    else:
        time.sleep(1)  # torchrun ends all when one has ended, and the other must have spoken
    raise SystemExit(code)


def _are_several() -> bool:
    return os.environ.get("WORLD_SIZE", "1") != "1"


def _join(command: str) -> None:
    """Meet before all else, so that an error of one is known to all.

    Raises:
        ValueError: If the others cannot be met, or the command is for one process.
    """
    from skipwise.training import join

    join()
    if command not in TOGETHER:
        raise ValueError(
            f"{command or 'this'} works in one process; several can {' and '.join(TOGETHER)}"
        )


def _is_loss_of_another(error: Exception) -> bool:
    from skipwise.training import is_loss_of_another

    return is_loss_of_another(error)


def _is_first_to_tell() -> bool:
    from skipwise.training import is_first_to_tell

    return is_first_to_tell()
