"""What a diagnosis leaves behind: ``diagnosis.json``, and the page for a reader."""

import json
from pathlib import Path

from skipwise.diagnosis import Diagnosis
from skipwise.files import DIAGNOSIS, DIAGNOSIS_PAGE, write_atomic
from skipwise.reports.diagnosis import write_diagnosis


def leave_diagnosis(diagnosis: Diagnosis, folder: Path | None) -> None:
    """Write a diagnosis into a folder, which is made if it is not there; each file whole or not.

    Args:
        diagnosis: What was found.
        folder: Of the run, or another; None writes none.

    Raises:
        OSError: If it cannot be written.
    """
    if folder is None:
        return
    folder.mkdir(parents=True, exist_ok=True)
    plain = diagnosis.as_plain()
    text = json.dumps(plain, ensure_ascii=False, indent=1)
    write_atomic(folder / DIAGNOSIS, text.encode())
    write_diagnosis(json.loads(text), folder)


def page_in(folder: Path) -> Path:
    """Give the file for a reader."""
    return folder / DIAGNOSIS_PAGE
