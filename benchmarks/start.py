"""How long one waits: ``skipwise --help``, and ``skipwise train digits`` to its first step.

``python benchmarks/start.py`` starts new processes, prints the median of several, and writes all of
them to ``start.json`` with the conditions.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

from conditions import conditions

FIRST_STEP = """
import json, sys, tempfile, time
began = time.perf_counter()
from skipwise.cli import main
from skipwise.experiment import compose
from skipwise.session import Session
from skipwise.training import Step
imported = time.perf_counter()
experiment, dataset = compose("digits")
loaded = time.perf_counter()
with tempfile.TemporaryDirectory() as folder:
    from pathlib import Path
    session = Session(experiment, dataset, Path(folder) / "run")
    built = time.perf_counter()
    for event in session.events():
        if isinstance(event, Step):
            break
    stepped = time.perf_counter()
print(json.dumps({"import": imported - began, "data": loaded - imported,
                  "model": built - loaded, "first step": stepped - built}))
"""


def waited(command: list[str]) -> tuple[float, str]:
    """Give seconds and output of a command."""
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return time.perf_counter() - began, done.stdout


def main() -> None:
    """Measure and print."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--repeats", type=int, default=5)
    words.add_argument("--out", type=Path, default=Path("start.json"))
    told = words.parse_args()
    repeats = told.repeats
    call = [sys.executable, "-c"]
    helped = [waited([*call, "from skipwise.cli import main; main()", "--help"])[0]
              for _ in range(repeats)]  # fmt: skip
    print(f"skipwise --help: {statistics.median(helped):.2f} s")
    trained = [waited([*call, FIRST_STEP]) for _ in range(repeats)]
    parts = [json.loads(output) for _, output in trained]
    split = ", ".join(f"{k} {statistics.median(p[k] for p in parts):.2f}" for k in parts[0])
    whole = statistics.median(seconds for seconds, _ in trained)
    print(f"train digits to its first step: {whole:.2f} s ({split})")
    found = {"help": helped, "train": [s for s, _ in trained], "parts of train": parts}
    told.out.write_text(json.dumps({"conditions": conditions(), "seconds": found}, indent=1))


if __name__ == "__main__":
    main()
