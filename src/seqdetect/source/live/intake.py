"""Between a thread that takes events in and the thread that polls: a bounded queue, and counts."""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import Future
from typing import Protocol

import pyarrow as pa

from seqdetect.events import EXAMPLES_KEPT, Tally, chunks, concat
from seqdetect.source.live import BATCH_ROWS

TABLE_BYTES = 8_192
"""Memory that a table takes whatever it holds (measured: 11 columns, four of them dictionaries)."""


class FullError(Exception):
    """There is no room for more events now; the sender should come again in ``retry_after_s`` seconds."""

    retry_after_s = 1


class UnwritableError(Exception):
    """The events could not be made as safe as promised; they were not taken in."""


class Intake(Protocol):
    """Where a source that cannot be gone back to puts what it accepts."""

    def put(self, table: pa.Table) -> Future[None]:
        """Take all rows of ``table`` or none; done when they are as safe as they will be.

        Raises ``FullError`` where there is no room; the future fails with ``UnwritableError``.
        """
        ...


class Feeder(Protocol):
    """A source that pushes: its own thread puts tables into an intake."""

    @property
    def done(self) -> bool:
        """Nothing more will be put."""
        ...

    def feed(self, intake: Intake) -> None:
        """Begin, in a thread of its own."""
        ...

    def settle(self) -> None:
        """Called by the polling thread: counts of rows read and rejected so far move into the tally.

        Raises what the source's own thread ended with.
        """
        ...

    def close(self) -> None:
        """End the thread; nothing is put after this returns."""
        ...


class Counts:
    """A tally that one thread adds to while another one takes from it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held = Tally()

    def add(self, tally: Tally) -> None:
        with self._lock:
            _move(tally, self._held)

    def settle(self, into: Tally) -> None:
        """Move everything counted so far into ``into``."""
        with self._lock:
            held, self._held = self._held, Tally()
        _move(held, into)


def _move(source: Tally, into: Tally) -> None:
    into.read += source.read
    into.skipped += source.skipped
    into.rejected.update(source.rejected)
    into.examples.extend(source.examples[: max(0, EXAMPLES_KEPT - len(into.examples))])


class Queue:
    """Tables that wait in memory: what was put is lost if the process dies.

    It is full once it holds ``max_rows`` rows or ``max_bytes`` bytes; a table that comes before is taken
    whole, so at most one table is held beyond either bound.
    """

    def __init__(self, max_rows: int, max_bytes: int) -> None:
        if max_rows < 1 or max_bytes < 1:
            raise ValueError(f"a queue of {max_rows} rows and {max_bytes} bytes could hold nothing")
        self._max_rows, self._max_bytes = max_rows, max_bytes
        self._changed = threading.Condition()
        self._tables: deque[tuple[pa.Table, int]] = deque()
        self._closed = False
        self.rows = 0
        self.bytes = 0

    def put(self, table: pa.Table) -> Future[None]:
        parts = [(part, part.nbytes + TABLE_BYTES) for part in chunks(table, BATCH_ROWS)]
        with self._changed:
            if self.rows >= self._max_rows or self.bytes >= self._max_bytes:
                raise FullError(f"{self.rows} events wait already")
            self._tables.extend(parts)
            self.rows += table.num_rows
            self.bytes += sum(size for _, size in parts)
            self._changed.notify()
        return _taken()

    def take(self, timeout_s: float) -> pa.Table | None:
        """What waits, up to ``BATCH_ROWS`` rows in one table; None if nothing came in time."""
        with self._changed:
            self._changed.wait_for(lambda: self._tables or self._closed, timeout_s)
            found = self._popped()
        if len(found) < 2:
            return found[0] if found else None
        return concat(found)

    def close(self) -> None:
        """Whoever waits for more is answered at once; what is held can still be taken."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def empty(self) -> bool:
        with self._changed:
            return not self._tables

    def _popped(self) -> list[pa.Table]:
        found: list[pa.Table] = []
        rows = 0
        while self._tables and (not found or rows + self._tables[0][0].num_rows <= BATCH_ROWS):
            table, size = self._tables.popleft()
            found.append(table)
            rows += table.num_rows
            self.bytes -= size
        self.rows -= rows
        return found


def _taken() -> Future[None]:
    future: Future[None] = Future()
    future.set_result(None)
    return future
