"""Whether the service is alive, and whether it is ready: what ``/healthz`` and ``/readyz`` answer."""

from __future__ import annotations

import time


class Health:
    """Told by the scoring thread, asked by the web server's. Alive is who has moved within ``stall_s`` seconds."""

    def __init__(self, stall_s: float) -> None:
        self._stall_s = stall_s
        self._moved = time.monotonic()
        self.connected = False
        self.stopping = False

    def move(self) -> None:
        """The loop has come round, or knows what it waits for."""
        self._moved = time.monotonic()

    def alive(self) -> tuple[bool, str]:
        """Whether the loop moves, and what to say about it."""
        still = time.monotonic() - self._moved
        if still > self._stall_s:
            return False, f"the scoring loop has not moved for {still:.0f} s"
        return True, "ok"

    def ready(self) -> tuple[bool, str]:
        """Whether events are taken in, and what to say about it."""
        if self.stopping:
            return False, "stopping"
        return (True, "ok") if self.connected else (False, "the input is not connected yet")
