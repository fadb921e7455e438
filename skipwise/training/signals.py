"""Ctrl-C and SIGTERM set a flag; the run is saved between two steps."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

SIGNALS: tuple[int, ...] = (signal.SIGINT, signal.SIGTERM)


class Interrupted(Exception):
    """A run was stopped by a signal, after a save.

    Args:
        number: The signal.
        folder: Where the run lies.
    """

    def __init__(self, number: int, folder: str):
        super().__init__(f"stopped by {signal.Signals(number).name}; the run in {folder} is saved")
        self.number, self.folder = number, folder


@contextmanager
def caught_signals() -> Iterator[list[int]]:
    """Give a list to which the signals that came are appended.

    A second one of a kind acts as it always does. Outside the main thread Python hands out no
    signals, and the list stays empty.
    """
    came: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield came
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}

    def note(number: int, _) -> None:
        came.append(number)
        signal.signal(number, before[number])

    for number in SIGNALS:
        signal.signal(number, note)
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
