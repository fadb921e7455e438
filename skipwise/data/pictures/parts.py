"""The parts of data in the words of others: of files, of folders, of a column in a table."""

PARTS = {
    "train": "train", "training": "train",
    "val": "validation", "valid": "validation", "validation": "validation", "dev": "validation",
    "test": "test", "testing": "test",
}  # fmt: skip


def part_of(cell: object, where: str) -> str:
    """Give the part that a cell names.

    Raises:
        ValueError: If it names none.
    """
    word = str(cell).lower()
    if word not in PARTS:
        raise ValueError(f"{where} is of the split {cell!r}; there are train, val and test")
    return PARTS[word]
