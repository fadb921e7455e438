"""A clock for long measurements: it can be halted, and stands while the process is stopped."""

import threading
import time

TICK, GAP = 0.05, 0.5


class Clock:
    """Seconds since it was started, without those in which it was halted or the process stopped.

    A thread ticks; where two ticks lie further apart than ``GAP`` the process was suspended, and
    the gap does not count. Processor seconds are those of all threads of the process.
    """

    def __init__(self):
        self.restart()
        threading.Thread(target=self._tick, daemon=True).start()

    def restart(self) -> None:
        """Begin at zero."""
        self._began, self._lost = time.monotonic(), 0.0
        self._processor = time.process_time()
        self._halted: tuple[float, float] | None = None

    def _tick(self) -> None:
        last = time.monotonic()
        while True:
            time.sleep(TICK)
            now = time.monotonic()
            if now - last > GAP:
                self._lost += now - last - TICK
            last = now

    @property
    def seconds(self) -> float:
        """Seconds that count."""
        if self._halted is not None:
            return self._halted[0]
        return time.monotonic() - self._began - self._lost

    @property
    def processor_seconds(self) -> float:
        """Processor seconds that count."""
        if self._halted is not None:
            return self._halted[1]
        return time.process_time() - self._processor

    def halt(self) -> None:
        """Stop counting."""
        self._halted = self.seconds, self.processor_seconds

    def go_on(self) -> None:
        """Count again, from where it was halted."""
        assert self._halted is not None
        (seconds, processor), self._halted = self._halted, None
        self._began, self._lost = time.monotonic() - seconds, 0.0
        self._processor = time.process_time() - processor
