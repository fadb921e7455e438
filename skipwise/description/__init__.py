"""Descriptions: frozen dataclasses that say what to build, and their plain form on disk.

A description is written as its public name with its fields, ``{"is":
"skipwise.connections.Highway", "bias": -2.0}``, and read back strictly: a key that does not exist,
a value of the wrong type or a name outside ``skipwise`` is an error that says where it stands. What
a user adds is named ``package.module:thing`` and imported only if that package was allowed: opening
somebody's file must not run somebody's code.
Takes descriptions, plain values and words, gives the others.
"""

from skipwise.description.call import HOME, Call, packages_of
from skipwise.description.changing import by_path, exported, fitted, replace_all, replace_at
from skipwise.description.files import read_described, read_yaml, write_yaml
from skipwise.description.kinds import Description
from skipwise.description.plain import (
    alternatives,
    check_written,
    from_plain,
    hints_of,
    public_name,
    to_plain,
)
from skipwise.description.words import line_in_own_code, nearest

__all__ = [
    "HOME",
    "Call",
    "Description",
    "alternatives",
    "by_path",
    "check_written",
    "exported",
    "fitted",
    "from_plain",
    "hints_of",
    "line_in_own_code",
    "nearest",
    "packages_of",
    "public_name",
    "read_described",
    "read_yaml",
    "replace_all",
    "replace_at",
    "to_plain",
    "write_yaml",
]
