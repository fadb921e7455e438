"""``report``."""

import webbrowser
from pathlib import Path

from skipwise.cli.app import leave
from skipwise.cli.words import Flag, print_json
from skipwise.reports import report as write_report


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
        return
    if open:
        webbrowser.open(page.resolve().as_uri())
    if json:
        print_json({"report": str(page), "runs": [str(run) for run in runs]})
    else:
        print(f"report: {page}")
