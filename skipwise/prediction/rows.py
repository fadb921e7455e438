"""What a network said, as rows of a table: a row for each example."""

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor


def numbers_in_rows(
    what: str, sources: Iterable[Any], outputs: Tensor, *, of: str = "output"
) -> list[dict[str, Any]]:
    """Give a row for each example of a regression.

    Args:
        what: The column of the sources.
        sources: Names or numbers of the examples.
        outputs: Shape ``(examples, *)``.
        of: What the columns of the numbers are called, before their places.
    """
    places = ["_".join(map(str, place)) for place in np.ndindex(*outputs.shape[1:])]
    return [
        {what: source, **{f"{of}_{k}": v for k, v in zip(places, row, strict=True)}}
        for source, row in zip(sources, outputs.flatten(1).tolist(), strict=True)
    ]


def write_rows(table: Path, rows: Iterable[dict[str, Any]]) -> int:
    """Write rows as CSV, their probabilities in columns, and count them."""
    count = 0
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)  # by column, not by name: a class may be called "file"
        for count, row in enumerate(rows, start=1):
            own = {k: v for k, v in row.items() if k != "probabilities"}
            each = row.get("probabilities", {})
            if count == 1:
                writer.writerow([*own, *each])
            writer.writerow([*own.values(), *each.values()])
    return count
