"""Several files are one stream, ordered by time as far as each of them is.

A file's progress is the highest time it has reached; rows are emitted in the order of progress. So a row is
no later, behind the highest time already out, than it is behind the highest time in its own file, and a file
need not be sorted. A time that runs more than ``HOUR`` ahead of a row just after it is a broken clock and no
progress: it would otherwise hold its whole file back until the others have ended.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from seqdetect.events import MICROSECONDS, concat
from seqdetect.source.parse import Numbers

HOUR = 3_600 * MICROSECONDS
LOOKAHEAD_ROWS = 16
"""Rows after a time that can tell it for a broken clock's; enough for most of the rows to be wrong."""

_NEVER = np.iinfo(np.int64).max
_ALWAYS = np.iinfo(np.int64).min


@dataclass(frozen=True)
class Part:
    """One file: the time it begins at (microseconds; None opens it at once), and how to read it."""

    first: int | None
    read: Callable[[], Iterator[pa.Table]]


def merge(parts: Iterable[Part], rows: int) -> Iterator[pa.Table]:
    """All parts' rows as one stream of tables of ``rows`` rows; equal times in the order of ``parts``.

    A part is opened once the stream has reached its beginning, and one batch of each open part is held.
    """
    return _rechunked(_merged(list(parts)), rows)


def _merged(parts: list[Part]) -> Iterator[pa.Table]:
    begins = [_ALWAYS if part.first is None else part.first for part in parts]
    waiting = sorted(range(len(parts)), key=lambda index: begins[index], reverse=True)
    reading: list[_Reading] = []
    while reading or waiting:
        slowest = min(reading, key=lambda one: (one.reached, one.index), default=None)
        if waiting and (slowest is None or begins[waiting[-1]] <= slowest.reached):
            index = waiting.pop()
            opened = _Reading(index, _with_progress(parts[index].read()))
            if opened.refill():
                reading.append(opened)
                reading.sort(key=lambda one: one.index)
        elif slowest is not None:
            reached, index = slowest.reached, slowest.index
            yield _woven([one.until(reached, last=one.index <= index) for one in reading])
            reading = [one for one in reading if len(one.progress) or one.refill()]


@dataclass
class _Reading:
    """An open part: its batch at hand and the progress [rows] at each of the batch's rows, never falling."""

    index: int
    batches: Iterator[tuple[pa.Table, Numbers]]
    table: pa.Table = None
    progress: Numbers = field(default_factory=lambda: np.zeros(0, np.int64))

    @property
    def reached(self) -> int:
        """Progress at the end of the batch: nothing that is still to be read goes before it."""
        return int(self.progress[-1])

    def refill(self) -> bool:
        """Take the next batch; False at the end of the part."""
        self.table, self.progress = next(self.batches, (None, self.progress[:0]))
        return self.table is not None

    def until(self, reached: int, last: bool) -> tuple[pa.Table, Numbers]:
        """Hand over the rows before ``reached``, and with ``last`` those at it."""
        cut = int(np.searchsorted(self.progress, reached, side="right" if last else "left"))
        handed = self.table.slice(0, cut), self.progress[:cut]
        self.table, self.progress = self.table.slice(cut), self.progress[cut:]
        return handed


def _woven(pieces: list[tuple[pa.Table, Numbers]]) -> pa.Table:
    pieces = [(table, progress) for table, progress in pieces if len(progress)]
    if len(pieces) == 1:
        return pieces[0][0]
    order = np.argsort(np.concatenate([progress for _, progress in pieces]), kind="stable")
    return concat(table for table, _ in pieces).take(pa.array(order))


def _with_progress(batches: Iterator[pa.Table]) -> Iterator[tuple[pa.Table, Numbers]]:
    """Each batch with its progress; the last rows wait for the next batch, by which they are judged."""
    held: pa.Table | None = None
    high = _ALWAYS
    for batch in batches:
        table = batch if held is None else pa.concat_tables([held, batch], promote_options="default")
        ready = max(0, table.num_rows - LOOKAHEAD_ROWS)
        if ready:
            progress = _progress(times(table), high)[:ready]
            high = int(progress[-1])
            yield table.slice(0, ready), progress
        held = table.slice(ready)
    if held is not None and held.num_rows:
        yield held, _progress(times(held), high)


def _progress(stamps: Numbers, high: int) -> Numbers:
    """The highest believable time so far, at each row; ``high`` is that of the rows before."""
    following = np.full(len(stamps), _NEVER)
    for distance in range(1, min(LOOKAHEAD_ROWS, len(stamps) - 1) + 1):
        np.minimum(following[:-distance], stamps[distance:], out=following[:-distance])
    believable = np.where(stamps - HOUR > following, following, stamps)
    progress: Numbers = np.maximum(np.maximum.accumulate(believable), high)
    return progress


def times(table: pa.Table) -> Numbers:
    """Microseconds [rows] of an event table."""
    stamps: Numbers = table.column("timestamp").cast(pa.int64()).to_numpy()
    return stamps


def _rechunked(tables: Iterator[pa.Table], rows: int) -> Iterator[pa.Table]:
    held: list[pa.Table] = []
    count = 0
    for table in tables:
        held.append(table)
        count += table.num_rows
        if count >= rows:
            whole = held[0] if len(held) == 1 else concat(held)
            full = count - count % rows
            for start in range(0, full, rows):
                yield whole.slice(start, rows)
            held, count = [whole.slice(full)], count - full
    if count:
        yield concat(held)
