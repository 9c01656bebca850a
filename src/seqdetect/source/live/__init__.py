"""Events as they happen: what ``seqdetect serve`` reads. A live source is one file here.

A source is polled by one thread, which also commits. Some sources can be gone back to (a file, Kafka): what
came after the last committed position comes again after a crash. Those that cannot (standard input, HTTP) are
wrapped in ``log.WriteAhead`` where losing what is in memory matters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa

BATCH_ROWS = 65_536
"""Rows up to which a source puts together what has come before handing it on."""


@dataclass(frozen=True)
class Batch:
    """Consecutive events of one part, in arrival order, with the place to go on from after them.

    ``table`` is an event table (``seqdetect.events``), possibly without rows where all that came was rejected.
    ``part`` is "" for sources with one part and "TOPIC-PARTITION" for Kafka. ``position`` can be written as
    JSON and is None where the source cannot be gone back to.
    """

    table: pa.Table
    part: str
    position: Any


class Parts(Protocol):
    """Who keeps the memory of each part; the service implements it."""

    def assigned(self, part: str) -> Any | None:
        """``part`` begins here: restores its checkpoint; the position to go on from, None for a fresh start."""
        ...

    def revoked(self, part: str) -> None:
        """``part`` goes elsewhere: checkpoint it, forget it."""
        ...

    def lost(self, part: str) -> None:
        """``part`` is somebody else's already: forget it, write nothing."""
        ...


class Live(Protocol):
    """Events that keep coming; ``start`` is called once, before everything else, and ``close`` at the end."""

    @property
    def replayable(self) -> bool:
        """Whether a position can be gone back to."""
        ...

    @property
    def ended(self) -> bool:
        """True once nothing more will come (standard input at its end)."""
        ...

    def start(self, parts: Parts) -> None:
        """Begins; calls ``parts.assigned`` for what is known at once."""
        ...

    def poll(self, timeout_s: float) -> Batch | None:
        """The next batch; None: nothing came within ``timeout_s`` seconds."""
        ...

    def commit(self, part: str, position: Any) -> None:
        """Everything up to ``position`` is in a durable checkpoint and the sinks have answered."""
        ...

    def close(self) -> None:
        """Takes nothing more in and lets go of files, sockets and threads.

        What a source that is not ``replayable`` had taken in can still be polled, until it has ``ended``: after
        a signal to stop, close such a source first, poll what is left, then checkpoint.
        """
        ...
