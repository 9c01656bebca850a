"""Events on standard input, as they come."""

from __future__ import annotations

import os
import select
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from seqdetect.events import Tally
from seqdetect.source.adapter.adapted import LONGEST_RECORD
from seqdetect.source.live import BATCH_ROWS, Batch, Parts
from seqdetect.source.live.intake import Counts, FullError, Intake, Queue, UnwritableError
from seqdetect.source.live.reader import reader
from seqdetect.source.parse import csv
from seqdetect.source.parse.header import Layout
from seqdetect.source.parse.lines import LONGEST_LINE, Stream, blocks, sniffed
from seqdetect.source.parse.rows import accept

_READ_AT_MOST = 1 << 18
# What has come is handed on after this long a lull.
_PATIENCE_SECONDS = 0.1
_AGAIN_SECONDS = 0.02
_UNWRITABLE_SECONDS = 1.0


class Stdin:
    """JSON lines or CSV (told apart by the first character, unzipped where it is gzip) from standard input.

    By itself it cannot be gone back to: what was read but is in no checkpoint is lost if the process dies. In
    a ``log.WriteAhead`` it is lost only while it has not been written there. What waits is bounded by
    ``max_rows`` and ``max_bytes``; then nothing more is read, and the writer at the other end of the pipe waits.
    """

    def __init__(
        self,
        tally: Tally,
        layout: Layout | None = None,
        max_rows: int = 4 * BATCH_ROWS,
        max_bytes: int = 256 << 20,
    ) -> None:
        self._tally = tally
        self._layout = layout or Layout()
        self._reader = reader(self._layout)
        self._queue = Queue(max_rows, max_bytes)
        self._counts = Counts()
        self._error: BaseException | None = None
        self._stop = threading.Event()
        self._pieces: _Pieces | None = None
        self._thread: threading.Thread | None = None

    replayable = False

    @property
    def done(self) -> bool:
        return self._thread is not None and not self._thread.is_alive()

    @property
    def ended(self) -> bool:
        return self.done and self._queue.empty and self._error is None

    def start(self, parts: Parts) -> None:
        """Raises ``OSError`` where there is no standard input."""
        parts.assigned("")
        self.feed(self._queue)

    def feed(self, intake: Intake) -> None:
        """As ``start``, with the events going to ``intake`` in place of the queue in memory."""
        self._pieces = _Pieces(sys.stdin.fileno())
        self._thread = threading.Thread(
            target=self._run, args=(self._pieces, intake), name="stdin", daemon=True
        )
        self._thread.start()

    def poll(self, timeout_s: float) -> Batch | None:
        """Raises ``ValueError`` for what is no text, and for CSV whose header lacks a column."""
        table = self._queue.take(timeout_s)
        if table is not None:
            self._counts.settle(self._tally)
            return Batch(table, "", None)
        self.settle()
        return None

    def settle(self) -> None:
        self._counts.settle(self._tally)
        error, self._error = self._error, None
        if error is not None:
            raise error

    def commit(self, part: str, position: Any) -> None:
        """There is nothing to go back to."""

    def stats(self) -> dict[str, Any]:
        """``queue_rows``, ``queue_bytes``: what waits to be scored."""
        return {"queue_rows": self._queue.rows, "queue_bytes": self._queue.bytes}

    def close(self) -> None:
        """What was read before can still be polled."""
        self._stop.set()
        if self._pieces is not None and self._thread is not None:
            self._pieces.wake()
            self._thread.join()
            self._pieces.close()
            self._pieces = None

    def _run(self, pieces: _Pieces, intake: Intake) -> None:
        try:
            for stream in sniffed("stdin", iter(pieces), 1):
                self._read(stream, intake)
        except Exception as error:  # Raised again where it is polled.
            self._error = error
        finally:
            self._queue.close()

    def _read(self, stream: Stream, intake: Intake) -> None:
        for table, tally in self._tables(stream):
            if not self._put(table, intake):
                return
            self._counts.add(tally)

    def _put(self, table: pa.Table, intake: Intake) -> bool:
        """Whether ``table`` was taken in, however long that took, before this source was closed."""
        while table.num_rows and not self._stop.is_set():
            try:
                intake.put(table).result()
                return True
            except FullError:
                self._stop.wait(_AGAIN_SECONDS)
            except UnwritableError:  # Logged there; the writer at the other end of the pipe waits, too.
                self._stop.wait(_UNWRITABLE_SECONDS)
        return not self._stop.is_set()

    def _tables(self, stream: Stream) -> Iterator[tuple[pa.Table, Tally]]:
        if self._layout.adapter is None and stream.head.lstrip()[:1] not in (b"{", b"["):
            for block in csv.read(stream, self._layout, BATCH_ROWS):
                tally = Tally()
                yield accept(block, self._layout, tally), tally
            return
        longest = LONGEST_LINE if self._layout.adapter is None else LONGEST_RECORD
        for data, number in blocks(stream, BATCH_ROWS, longest):
            tally = Tally()
            yield self._reader.read(data, stream.origin, tally, number), tally


class _Pieces:
    """Bytes of a descriptor as they come, an empty piece after each lull, until its end or ``wake``.

    It reads its own copy of the descriptor, without a buffer: a thread that waits within ``sys.stdin`` would
    abort the interpreter at its end.
    """

    def __init__(self, descriptor: int) -> None:
        self._input = os.dup(descriptor)
        self._woken, self._waker = os.pipe()

    def __iter__(self) -> Iterator[bytes]:
        owed = False
        while True:
            ready, _, _ = select.select(
                [self._input, self._woken], [], [], _PATIENCE_SECONDS if owed else None
            )
            if self._woken in ready:
                return
            if not ready:
                owed = False
                yield b""
                continue
            piece = os.read(self._input, _READ_AT_MOST)
            if not piece:
                return
            owed = True
            yield piece

    def wake(self) -> None:
        os.write(self._waker, b"!")

    def close(self) -> None:
        for descriptor in (self._input, self._woken, self._waker):
            os.close(descriptor)
