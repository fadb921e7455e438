"""What a measurement depends on beside its arguments, to be kept with its numbers."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from skipwise.training import choose_device, hardware


def conditions(*packages: str) -> dict[str, Any]:
    """Give device, cores, threads and versions.

    Args:
        *packages: Others whose versions count; one that is not installed is left out.
    """
    device = choose_device()
    found = {
        "device": device.type,
        "hardware": hardware(device),
        "cores": len(os.sched_getaffinity(0)),
        "threads": torch.get_num_threads(),
        "system": platform.platform(),
        "python": platform.python_version(),
    }
    for package in ("torch", "skipwise", *packages):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
