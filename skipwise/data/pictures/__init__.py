"""Pictures in files: found, read, and brought to one size, at once or as they are used.

Takes files and labels, gives a Dataset.
"""

from skipwise.data.pictures.gallery import MEMORY_BYTES, Gallery, Listing
from skipwise.data.pictures.labels import class_names, labels_of
from skipwise.data.pictures.parts import PARTS, part_of
from skipwise.data.pictures.picture import (
    SUFFIXES,
    Encoded,
    File,
    UnreadablePicture,
    header,
    read_picture,
)
from skipwise.data.pictures.streamed import SAMPLE, Streamed, check_readable

__all__ = [
    "MEMORY_BYTES",
    "PARTS",
    "SAMPLE",
    "SUFFIXES",
    "Encoded",
    "File",
    "Gallery",
    "Listing",
    "Streamed",
    "UnreadablePicture",
    "check_readable",
    "class_names",
    "header",
    "labels_of",
    "part_of",
    "read_picture",
]
