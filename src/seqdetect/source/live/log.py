"""A write-ahead log for sources that cannot be gone back to."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import pyarrow as pa

from seqdetect.durable import sync_folder
from seqdetect.events import Tally, concat
from seqdetect.source.live import BATCH_ROWS, Batch, Parts
from seqdetect.source.live import segment as segments
from seqdetect.source.live.appender import Appender
from seqdetect.source.live.intake import Feeder
from seqdetect.source.live.segment import START, DamagedError, Place

LOG = logging.getLogger(__name__)

_LEAST_SEGMENTS = 4


class WriteAhead:
    """Makes ``source`` (HTTP, standard input) one that can be gone back to.

    What the source accepts is on disk (written and fsynced, one fsync for all who wait) before it says so: an
    answer of 202 means "on disk", and survives the process and, as far as the disk keeps its word, the
    machine. Without a log 202 means "accepted into memory". Polling reads from the log, so what is replayed
    after a restart takes the same way as what has just come.

    The position is ``[segment, byte]``. Segments wholly before a committed position are deleted. All together
    hold ``max_bytes`` at most; then the source is told to wait (HTTP: 429). A record that was not wholly written
    when the process died is cut off, which is logged: nobody was told that it was accepted. A sender who had no
    answer sends again, so events can be in the log twice; only their ``event_id`` tells.
    """

    def __init__(
        self,
        source: Feeder,
        folder: str | Path,
        tally: Tally,
        segment_bytes: int = 64 << 20,
        max_bytes: int = 4 << 30,
    ) -> None:
        """Nothing is opened yet. ``tally`` is the source's, too: it counts replayed rows as read."""
        if not 0 < segment_bytes <= max_bytes // _LEAST_SEGMENTS:
            raise ValueError(
                f"segments of {segment_bytes} bytes are too large for a log of {max_bytes}; "
                f"at least {_LEAST_SEGMENTS} must fit"
            )
        self._source, self._folder, self._tally = source, Path(folder), tally
        self._segment_bytes, self._max_bytes = segment_bytes, max_bytes
        self._appender: Appender | None = None
        self._cursor = Place(0, 0)
        self._replay_until = Place(0, 0)
        self._reading: tuple[int, int] | None = None
        self._lock = -1

    replayable = True

    @property
    def ended(self) -> bool:
        return self._appender is not None and self._source.done and self._cursor >= self._appender.end

    def start(self, parts: Parts) -> None:
        """Raises ``ValueError`` for a folder in use or a position of something else, ``OSError`` for the disk."""
        self._folder.mkdir(parents=True, exist_ok=True)
        sync_folder(self._folder.parent)
        self._lock = segments.lock(self._folder)
        position = parts.assigned("")
        reached = None if position is None else Place.read(position)
        _cut_off_torn_end(self._folder)
        self._cursor = _begin(self._folder, reached)
        self._appender = Appender(self._folder, self._cursor.segment, self._segment_bytes, self._max_bytes)
        self._replay_until = self._appender.end
        if self._cursor < self._replay_until:
            LOG.info("replaying the write-ahead log from %s to %s", self._cursor, self._replay_until)
        self._source.feed(self._appender)

    def poll(self, timeout_s: float) -> Batch | None:
        """What is on disk and was not polled yet, up to ``BATCH_ROWS`` rows; None if nothing came in time."""
        assert self._appender is not None, "start comes first"
        if self._cursor >= self._appender.end:
            self._appender.wait(self._cursor, 0.0 if self._source.done else timeout_s)
        replayed = self._cursor < self._replay_until
        tables = self._tables(self._appender.end)
        if replayed:
            self._tally.read += sum(table.num_rows for table in tables)
        self._source.settle()
        if not tables:
            return None
        table = tables[0] if len(tables) == 1 else concat(tables)
        return Batch(table, "", self._cursor.written())

    def commit(self, part: str, position: Any) -> None:
        """Deletes the segments that nobody will ask for again."""
        if position is not None and self._appender is not None:
            self._appender.drop(Place.read(position).segment)

    def stats(self) -> dict[str, Any]:
        """``log_bytes``: what the log holds on disk, of ``log_max_bytes``; ``log_unread_bytes``: what was not polled."""
        held = 0 if self._appender is None else self._appender.size
        unread = 0 if self._appender is None else self._appender.after(self._cursor)
        return {"log_bytes": held, "log_unread_bytes": unread, "log_max_bytes": self._max_bytes}

    def close(self) -> None:
        """What was accepted and not polled stays in the log."""
        self._source.close()
        if self._appender is not None:
            self._appender.close()
        if self._reading is not None:
            os.close(self._reading[1])
            self._reading = None
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _tables(self, end: Place) -> list[pa.Table]:
        limit = self._replay_until if self._cursor < self._replay_until else end
        tables: list[pa.Table] = []
        rows = 0
        while self._cursor < limit:
            found = self._record(limit)
            if found is None:
                continue
            table, after = found
            if tables and rows + table.num_rows > BATCH_ROWS:
                break
            tables.append(table)
            rows += table.num_rows
            self._cursor = after
        return tables

    def _record(self, limit: Place) -> tuple[pa.Table, Place] | None:
        """The record at the cursor; None where there is none, and the cursor has been moved on, up to ``limit``."""
        number, offset = self._cursor.segment, self._cursor.offset
        try:
            found = segments.read(self._opened(number), offset)
        except (DamagedError, OSError) as error:
            what = "a damaged record" if isinstance(error, DamagedError) else str(error)
            LOG.error("%s at byte %d of %s; what follows there is lost", what, offset, self._path(number))
            self._tally.reject("damaged_log", str(self._path(number)), f"byte {offset}: {what}")
            found = None
        if found is None:
            self._cursor = min(limit, Place(number + 1, START))
            return None
        return found[0], Place(number, found[1])

    def _opened(self, number: int) -> int:
        if self._reading is None or self._reading[0] != number:
            if self._reading is not None:
                os.close(self._reading[1])
                self._reading = None
            self._reading = (number, os.open(self._path(number), os.O_RDONLY | os.O_CLOEXEC))
        return self._reading[1]

    def _path(self, number: int) -> Path:
        return segments.path(self._folder, number)


def _begin(folder: Path, reached: Place | None) -> Place:
    """Where reading begins. A number is never used for a second segment, so no position is mistaken."""
    present = segments.numbers(folder)
    if reached is None:
        return Place(present[0] if present else 1, START)
    end = Place(present[-1], segments.path(folder, present[-1]).stat().st_size) if present else Place(0, 0)
    if max(end, Place(end.segment, START)) < reached:
        LOG.warning(
            "the write-ahead log ends before %s, where the checkpoint was made; was it deleted?", reached
        )
        return Place(reached.segment + 1, START)
    if present[0] > reached.segment:
        LOG.warning("the write-ahead log begins after %s, where the checkpoint was made", reached)
        return Place(present[0], START)
    return max(reached, Place(reached.segment, START))


def _cut_off_torn_end(folder: Path) -> None:
    present = segments.numbers(folder)
    if not present:
        return
    where = segments.path(folder, present[-1])
    size, sound = where.stat().st_size, segments.sound_until(where)
    if sound == size:
        return
    LOG.warning("%d bytes that were not wholly written are cut off the end of %s", size - sound, where)
    file = os.open(where, os.O_RDWR)
    try:
        os.ftruncate(file, sound)
        os.fsync(file)
    finally:
        os.close(file)
