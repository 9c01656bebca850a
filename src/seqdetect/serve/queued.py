"""Delivery by a thread of its own, from a queue on disk: a far side that is down holds up nobody else."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from seqdetect.serve.backoff import Backoff
from seqdetect.serve.logs import say
from seqdetect.serve.metrics import Metrics
from seqdetect.serve.spool import SUFFIX, Spool, Waiting
from seqdetect.sink import Change, Refreshed, RefusedError, Sink, UnavailableError
from seqdetect.sink.jsonl import JsonlAppender

LOG = logging.getLogger(__name__)
HURRIED_S: Final = 1.0
"""The longest wait for the next try once the service is stopping."""


@dataclass(frozen=True)
class Standing:
    """The alerts that were open once the change numbered ``after`` had been put."""

    changes: Sequence[Change]
    after: int


class Queued:
    """A sink with its queue. ``put`` and ``stand`` are the scoring thread's; everything else happens in the own one.

    Changes go out in order and at least once: one is removed after the sink has taken it. What the far side refuses
    for ever is added to the file ``refused``, and the queue goes on. Alerts that stand are told of between the changes
    before them and those after, so that no alert is told of again once its end has been.
    """

    def __init__(
        self, name: str, sink: Sink, spool: Spool, refused: Path, backoff: Backoff, metrics: Metrics
    ) -> None:
        self.name = name
        self.sink = sink
        self.spool = spool
        self._refused = refused
        self._backoff = backoff
        self._metrics = metrics
        self._at_once: int = getattr(sink, "at_once", 1)
        self._changed = threading.Condition()
        self._standing: Standing | None = None
        self._resend_at = time.monotonic()
        self._hurrying = False
        self._ending = False
        metrics.queue(name, spool)
        self._thread = threading.Thread(target=self._run, name=f"output {name}", daemon=True)
        self._thread.start()

    def put(self, changes: Sequence[Change]) -> None:
        """They are on disk when this returns. Raises ``sqlite3.Error``, and has taken none, where they cannot be."""
        self.spool.put(changes)
        with self._changed:
            self._changed.notify_all()

    @property
    def due(self) -> bool:
        """Whether the sink has to be told what is open, and does not wait to be already."""
        return (
            isinstance(self.sink, Refreshed)
            and self._standing is None
            and time.monotonic() >= self._resend_at
        )

    def stand(self, changes: Sequence[Change]) -> None:
        """These alerts are open now, after all that was put."""
        with self._changed:
            self._standing = Standing(changes, self.spool.last)
            self._changed.notify_all()

    def hurry(self) -> None:
        """The service is stopping: try at once what waits for its next try, and soon again."""
        with self._changed:
            self._hurrying = True
            self._changed.notify_all()

    def end(self, patience_s: float) -> bool:
        """Try nothing more; whether the thread has ended within that time. What is left stays on disk."""
        with self._changed:
            self._ending = True
            self._changed.notify_all()
        self._thread.join(patience_s)
        if self._thread.is_alive():
            return False
        self.spool.close()
        return True

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._ending or self.spool.changes or self._standing)
                if self._ending:
                    return
            try:
                self._turn()
            # what a far side's client raises is its own affair; nothing may be lost over it
            except Exception as error:
                self._failed(error)
            else:
                self._went_well()

    def _turn(self) -> None:
        with self._changed:
            standing = self._standing
            until = self.spool.last if standing is None else standing.after
        waiting = self.spool.first(self._at_once, until)
        if waiting:
            self._deliver(waiting)
        elif standing is not None:
            self._tell(standing)

    def _deliver(self, waiting: Sequence[Waiting]) -> None:
        try:
            self.sink.send([one.change for one in waiting])
        except RefusedError as error:
            if len(waiting) > 1:  # only one of them may be to blame
                for one in waiting:
                    self._deliver([one])
                return
            self._put_aside(waiting[0].change, error)
        else:
            self._metrics.sink_changes.labels(self.name).inc(len(waiting))
        self.spool.remove(waiting[-1].number)

    def _tell(self, standing: Standing) -> None:
        assert isinstance(self.sink, Refreshed)
        # a failure is not repeated with these: alerts that open meanwhile are not among them
        self._resend_at = time.monotonic() + self.sink.resend_s
        self._standing = None
        try:
            self.sink.refresh(standing.changes)
        except RefusedError as error:
            self._metrics.sink_errors.labels(self.name).inc()
            say(LOG, logging.ERROR, "refresh_refused", output=self.name, error=str(error))
        except Exception:
            self._resend_at = time.monotonic()
            raise

    def _put_aside(self, change: Change, error: RefusedError) -> None:
        self._refused.parent.mkdir(parents=True, exist_ok=True)
        letters = JsonlAppender(self._refused)
        try:
            letters.send([{"refused_at": time.time(), "error": str(error), "change": change}])
        finally:
            letters.close()
        self._metrics.sink_refused.labels(self.name).inc()
        say(
            LOG,
            logging.ERROR,
            "change_refused",
            output=self.name,
            error=str(error),
            alert_id=change["alert_id"],
            put_aside=str(self._refused),
        )

    def _failed(self, error: Exception) -> None:
        wait_s = self._backoff.failed()
        asked_s = error.after_s if isinstance(error, UnavailableError) else None
        self._metrics.sink_errors.labels(self.name).inc()
        say(
            LOG,
            logging.ERROR,
            "sink_failed",
            output=self.name,
            error=f"{type(error).__name__}: {error}",
            tries=self._backoff.tries,
            next_s=round(max(wait_s, asked_s or 0.0), 3),
            waiting=self.spool.changes,
        )
        with self._changed:
            if asked_s is not None:
                self._changed.wait_for(lambda: self._ending, max(wait_s, asked_s))
            elif self._hurrying:
                self._changed.wait_for(lambda: self._ending, min(wait_s, HURRIED_S))
            else:
                self._changed.wait_for(lambda: self._ending or self._hurrying, wait_s)
        self._metrics.sink_retries.labels(self.name).inc()

    def _went_well(self) -> None:
        if self._backoff.tries:
            say(LOG, logging.INFO, "sink_back", output=self.name, tries=self._backoff.tries)
            self._backoff.succeeded()


@dataclass(frozen=True)
class Queues:
    """Where the queues of all outputs are, each in a file named after its output, and how much each may hold."""

    folder: Path
    max_bytes: int
    metrics: Metrics

    def queued(self, name: str, sink: Sink) -> Queued:
        """Raises ``ValueError`` for a queue in use, ``OSError`` where it cannot be opened."""
        spool = Spool(self.folder / f"{name}{SUFFIX}", self.max_bytes)
        refused = self.folder / f"{name}.refused.jsonl"
        return Queued(name, sink, spool, refused, Backoff(random.Random()), self.metrics)

    def tell_unclaimed(self, names: Sequence[str]) -> None:
        """Say which queues hold changes of outputs that are gone, or are called otherwise now."""
        for path in sorted(self.folder.glob(f"*{SUFFIX}")):
            if path.name.removesuffix(SUFFIX) in names:
                continue
            try:
                spool = Spool(path, self.max_bytes)
            except (OSError, ValueError):
                continue  # another process's
            if spool.changes:
                say(LOG, logging.WARNING, "outbox_unclaimed", file=str(path), changes=spool.changes)
            spool.close()
