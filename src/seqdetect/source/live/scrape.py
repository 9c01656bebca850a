"""Inference servers' ``/metrics``, looked at every few seconds: the service seen as a whole."""

from __future__ import annotations

import logging
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from typing import Any, Final
from urllib.parse import urlsplit

import pyarrow as pa

from seqdetect.events import MICROSECONDS, Tally
from seqdetect.source.adapter.adapted import layout as adapted_layout
from seqdetect.source.adapter.adapted import tabled
from seqdetect.source.adapter.counters import ABORTED, FAILED, Totals, totals
from seqdetect.source.adapter.record import Row
from seqdetect.source.adapter.spread import Counted, spread
from seqdetect.source.live import BATCH_ROWS, Batch, Parts
from seqdetect.source.live.intake import Counts, FullError, Intake, Queue, UnwritableError
from seqdetect.source.parse.header import Layout
from seqdetect.source.parse.rows import accept

LOG = logging.getLogger(__name__)

MOST: Final = 1_000
"""Requests of one model that one look becomes at most."""
_MOST_BYTES: Final = 16 << 20
_TOGETHER: Final = 16

Seen = tuple[int, Mapping[str, Totals]]
"""When a target was last looked at (microseconds), and what it had counted by model."""


class Scrape:
    """Turns what vLLM and TGI count into requests: evenly spread between two looks, all alike, and adding up exactly.

    Events have the target's name for their user and the model that the server names. It sees that requests come more
    often, grow, slow down or fail; whose they are, from where, and what one of them was like it cannot see. So it is
    meant for a bundle with the key ``service`` (or ``model``). The first look at a target only shows where its counters
    stand, and so does the first after one that failed: what came between is not seen, which is counted in ``gaps``. A
    server that begins anew counts from zero.

    It cannot be gone back to; in a ``log.WriteAhead`` what was seen is safe from a crash.
    """

    replayable = False

    def __init__(
        self,
        tally: Tally,
        targets: Mapping[str, str],
        every_s: float = 5.0,
        timeout_s: float = 3.0,
        layout: Layout | None = None,
    ) -> None:
        """Nothing is asked yet; ``targets`` are URLs by name. Raises ``ValueError`` for what is no URL."""
        for name, url in targets.items():
            if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
                raise ValueError(f"targets.{name}: {url} is no http or https URL")
        self.gaps = 0
        self._tally, self._targets = tally, dict(targets)
        self._every_s, self._timeout_s = every_s, timeout_s
        self._layout = adapted_layout(layout or Layout())
        self._seen: dict[str, Seen] = {}
        self._failing: set[str] = set()
        self._counts = Counts()
        self._queue = Queue(4 * BATCH_ROWS, 256 << 20)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def done(self) -> bool:
        return self._stop.is_set()

    @property
    def ended(self) -> bool:
        return self.done and self._queue.empty

    def start(self, parts: Parts) -> None:
        parts.assigned("")
        self.feed(self._queue)

    def feed(self, intake: Intake) -> None:
        """As ``start``, with the events going to ``intake`` in place of the queue in memory."""
        self._thread = threading.Thread(target=self._run, args=(intake,), name="scrape", daemon=True)
        self._thread.start()

    def poll(self, timeout_s: float) -> Batch | None:
        table = self._queue.take(timeout_s)
        self.settle()
        return None if table is None else Batch(table, "", None)

    def settle(self) -> None:
        """Raises ``RuntimeError`` where the thread that looks is gone."""
        self._counts.settle(self._tally)
        if self._thread is not None and not self._thread.is_alive() and not self.done:
            raise RuntimeError("looking at /metrics has stopped; see the log")

    def commit(self, part: str, position: Any) -> None:
        """There is nothing to go back to."""

    def stats(self) -> dict[str, Any]:
        """``gaps``: looks that failed; ``queue_rows``, ``queue_bytes``: what waits to be scored."""
        return {"gaps": self.gaps, "queue_rows": self._queue.rows, "queue_bytes": self._queue.bytes}

    def close(self) -> None:
        """What was seen before can still be polled."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(2 * self._timeout_s)
        self._queue.close()

    def _run(self, intake: Intake) -> None:
        try:
            with ThreadPoolExecutor(min(_TOGETHER, len(self._targets)), "scrape") as pool:
                due = time.monotonic()
                while not self._stop.wait(max(0.0, due - time.monotonic())):
                    due = max(due + self._every_s, time.monotonic())
                    looks = dict(zip(self._targets, pool.map(self._look, self._targets.items()), strict=True))
                    self._take(looks, intake)
        except Exception:
            LOG.exception("looking at /metrics has stopped")

    def _look(self, target: tuple[str, str]) -> Seen | None:
        """What a target counts now; None where it cannot be told."""
        name, url = target
        try:
            with urllib.request.urlopen(url, timeout=self._timeout_s) as answer:
                text = answer.read(_MOST_BYTES).decode()
            found = totals(text)
            if not found:
                raise ValueError("it counts no requests that are known here")
        except (OSError, HTTPException, ValueError) as error:  # URLError and bad statuses are OSErrors
            if name not in self._failing:
                LOG.warning("%s (%s) tells nothing: %s", name, url, error)
            self._failing.add(name)
            return None
        if name in self._failing:
            self._failing.discard(name)
            LOG.info("%s (%s) tells again what it counts", name, url)
        return int(time.time() * MICROSECONDS), found

    def _take(self, looks: Mapping[str, Seen | None], intake: Intake) -> None:
        rows = [
            row
            for name, now in looks.items()
            if now is not None and name in self._seen
            for row in requests(name, self._seen[name], now)
        ]
        rows.sort(key=lambda row: row.timestamp or 0)
        tally = Tally()
        table = accept(tabled(rows, "metrics"), self._layout, tally)
        if rows and not self._put(table, intake):
            return  # counters stand where they did, so the next look finds it all again
        self._counts.add(tally)
        for name, now in looks.items():
            if now is not None:
                self._seen[name] = now
            elif self._seen.pop(name, None) is not None:
                self.gaps += 1

    @staticmethod
    def _put(table: pa.Table, intake: Intake) -> bool:
        try:
            intake.put(table).result()
        except (FullError, UnwritableError) as error:
            LOG.warning("what /metrics told could not be taken in: %s", error)
            return False
        return True


def requests(name: str, before: Seen, now: Seen) -> Iterator[Row]:
    """The requests that ``name`` finished between two looks."""
    for model, counted in now[1].items():
        nothing = Totals(0, 0, 0, 0, 0, 0.0, 0)
        more = counted.since(before[1].get(model, nothing))
        latency = 1e3 * more.latency_s / more.timed if more.timed else None
        like = Row(0, name, 0, 0, model or None, latency_ms=latency)
        of = Counted(before[0], now[0], more.requests, more.prompt_tokens, more.completion_tokens)
        rows = list(spread(of, like, MOST))
        yield from _with_statuses(rows, more)


def _with_statuses(rows: Sequence[Row], more: Totals) -> Iterator[Row]:
    """Failures and aborts fall evenly among the requests, and failures among both."""
    unanswered = _scaled(more.failed + more.aborted, more.requests, len(rows))
    failed = _scaled(more.failed, more.failed + more.aborted, unanswered)
    seen = 0
    for place, row in enumerate(rows):
        status = 200
        if _falls(unanswered, place, len(rows)):
            status = FAILED if _falls(failed, seen, unanswered) else ABORTED
            seen += 1
        yield row._replace(status=status)


def _scaled(some: int, of: int, rows: int) -> int:
    """How many of ``rows`` stand for ``some`` out of ``of``."""
    return round(min(some, of) * rows / of) if of else 0


def _falls(some: int, place: int, rows: int) -> bool:
    """Whether the row at ``place`` is one of the ``some`` out of ``rows``."""
    return some * (place + 1) // rows > some * place // rows
