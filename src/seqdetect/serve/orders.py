"""What the process is told from outside, by signals: to stop, to stop at once, to read its models again."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from types import FrameType
from typing import Final

STOP: Final = (signal.SIGTERM, signal.SIGINT)
_SLICE_S: Final = 0.1
_PATIENCE_S: Final = 1.0


class Orders:
    """Set by signal handlers, read by the scoring thread. A second order to stop ends the process at once."""

    def __init__(self, stop_s: float, waiting: Callable[[], None] = lambda: None) -> None:
        """``stop_s``: how long to go on trying to deliver once told to stop. ``waiting`` is called during ``wait``."""
        self._stop_s = stop_s
        self._waiting = waiting
        self._stopped_at: float | None = None
        self.reread = False

    def listen(self) -> None:
        """Install the handlers; only the main thread can."""
        for number in STOP:
            signal.signal(number, self._stop)
        signal.signal(signal.SIGHUP, self._read_again)

    @property
    def stop(self) -> bool:
        return self._stopped_at is not None

    def wait(self, seconds: float) -> bool:
        """Sleep, but not for long once told to stop; whether it is time to give up."""
        began = time.monotonic()
        while True:
            self._waiting()
            now = time.monotonic()
            if self._stopped_at is not None:
                if now >= self._stopped_at + self._stop_s:
                    return True
                seconds = min(seconds, _PATIENCE_S)
            if now >= began + seconds:
                return False
            time.sleep(min(_SLICE_S, began + seconds - now))

    def _stop(self, number: int, frame: FrameType | None) -> None:
        if self.stop:
            os._exit(128 + number)
        self._stopped_at = time.monotonic()

    def _read_again(self, number: int, frame: FrameType | None) -> None:
        self.reread = True
