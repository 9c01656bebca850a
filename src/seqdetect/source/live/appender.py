"""The writing side of a write-ahead log: one fsync for all who wait."""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from concurrent.futures import Future
from pathlib import Path

import pyarrow as pa

from seqdetect.durable import sync_folder
from seqdetect.events import concat
from seqdetect.source.live import BATCH_ROWS
from seqdetect.source.live import segment as segments
from seqdetect.source.live.intake import TABLE_BYTES, FullError, UnwritableError
from seqdetect.source.live.segment import MAGIC, START, Place

LOG = logging.getLogger(__name__)


class Appender:
    """Appends tables to segments in ``folder``; ``put`` is an intake.

    A segment is closed once it holds ``segment_bytes``; all together hold ``max_bytes`` at most, and then
    ``put`` raises ``FullError`` until segments are deleted.
    """

    def __init__(self, folder: Path, first: int, segment_bytes: int, max_bytes: int) -> None:
        """Goes on in the newest segment of ``folder``, which must be sound, but never before segment ``first``.

        Raises ``OSError`` where it cannot be written.
        """
        self._folder, self._segment_bytes, self._max_bytes = folder, segment_bytes, max_bytes
        self._changed = threading.Condition()
        self._waiting: deque[tuple[pa.Table, Future[None]]] = deque()
        self._waiting_bytes = 0
        self._closing = False
        self._sizes = {n: segments.path(folder, n).stat().st_size for n in segments.numbers(folder)}
        self._file = -1
        number = max([first, *self._sizes])
        self._end = Place(number, self._sizes.get(number, 0))
        self._open(number)
        self._thread = threading.Thread(target=self._run, name="write-ahead", daemon=True)
        self._thread.start()

    @property
    def end(self) -> Place:
        """Everything before this place is on disk."""
        return self._end

    @property
    def size(self) -> int:
        """What all segments hold."""
        with self._changed:
            return sum(self._sizes.values())

    def after(self, place: Place) -> int:
        """Bytes from ``place`` to the end."""
        with self._changed:
            later = sum(size for number, size in self._sizes.items() if number >= place.segment)
            return max(0, later - place.offset)

    def put(self, table: pa.Table) -> Future[None]:
        future: Future[None] = Future()
        future.set_running_or_notify_cancel()  # Who waits may give up, but what is put is written.
        size = table.nbytes + TABLE_BYTES
        with self._changed:
            if self._closing:
                raise FullError("the log is being closed")
            if self._waiting_bytes + sum(self._sizes.values()) + size > self._max_bytes:
                raise FullError(f"the write-ahead log holds {sum(self._sizes.values())} bytes")
            self._waiting.append((table, future))
            self._waiting_bytes += size
            self._changed.notify_all()
        return future

    def wait(self, beyond: Place, timeout_s: float) -> None:
        """Until there is something on disk beyond a place, or the time has passed."""
        with self._changed:
            self._changed.wait_for(lambda: self._end > beyond or self._closing, timeout_s)

    def drop(self, before: int) -> None:
        """Delete the segments numbered below ``before``, but for the one that is written to."""
        with self._changed:
            old = [number for number in self._sizes if number < min(before, self._end.segment)]
        for number in old:
            segments.path(self._folder, number).unlink(missing_ok=True)
        if old:
            sync_folder(self._folder)
        with self._changed:
            for number in old:
                del self._sizes[number]

    def close(self) -> None:
        """Returns once all that waits is written."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join()
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closing)
                if not self._waiting:
                    return
                tables, futures = self._group()
            error: Exception | None = None
            try:
                self._write(segments.record(concat(tables) if len(tables) > 1 else tables[0]))
            except Exception as failure:
                LOG.error("the write-ahead log cannot be written: %s", failure)
                error = UnwritableError("the write-ahead log cannot be written; see the server's log")
                self._give_up()
            with self._changed:
                self._changed.notify_all()
            for future in futures:
                future.set_exception(error) if error else future.set_result(None)

    def _group(self) -> tuple[list[pa.Table], list[Future[None]]]:
        tables: list[pa.Table] = []
        futures: list[Future[None]] = []
        rows = size = 0
        while self._waiting and size < self._segment_bytes:
            if tables and rows + self._waiting[0][0].num_rows > BATCH_ROWS:
                break
            table, future = self._waiting.popleft()
            self._waiting_bytes -= table.nbytes + TABLE_BYTES
            rows += table.num_rows
            size += table.nbytes
            tables.append(table)
            futures.append(future)
        return tables, futures

    def _write(self, data: bytes) -> None:
        if self._file < 0 or self._end.offset >= self._segment_bytes:
            self._open(self._end.segment + 1)
        offset = self._end.offset
        view = memoryview(data)
        while view:
            written = os.pwrite(self._file, view, offset)
            view, offset = view[written:], offset + written
        os.fsync(self._file)
        with self._changed:
            self._sizes[self._end.segment] = offset
            self._end = Place(self._end.segment, offset)

    def _open(self, number: int) -> None:
        """Begin segment ``number``, or go on in it where there is one."""
        old, self._file = self._file, -1
        if old >= 0:
            os.close(old)
        file = os.open(segments.path(self._folder, number), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        size = self._sizes.get(number, 0)
        try:
            if size < START:
                os.pwrite(file, MAGIC, 0)
                os.fsync(file)
                sync_folder(self._folder)
                size = START
        except OSError:
            os.close(file)
            raise
        with self._changed:
            self._file, self._sizes[number], self._end = file, size, Place(number, size)

    def _give_up(self) -> None:
        """After a failed write nothing is known of the bytes behind the last record: never write there again."""
        if self._file < 0:
            return
        try:
            os.ftruncate(self._file, self._end.offset)
        except OSError as error:
            LOG.error("the end of the write-ahead log cannot be cut off: %s", error)
        os.close(self._file)
        self._file = -1
