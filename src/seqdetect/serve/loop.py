"""The one scoring thread: poll, score, deliver; from time to time save, commit and look around."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from seqdetect.events import Tally
from seqdetect.serve.delivery import Outputs
from seqdetect.serve.health import Health
from seqdetect.serve.inputs import Input
from seqdetect.serve.logs import say
from seqdetect.serve.metrics import Metrics
from seqdetect.serve.orders import Orders
from seqdetect.serve.parts import Scorers
from seqdetect.source.live import Batch, Live

LOG = logging.getLogger(__name__)
POLL_S: Final = 0.2
"""How long a poll may wait: so soon is a signal heard."""
REFRESH_S: Final = 1.0


class Every:
    """True once per ``seconds``, the first time after that long."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._next = time.monotonic() + seconds

    def __call__(self) -> bool:
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + self._seconds
        return True


@dataclass
class Loop:
    """Everything that turns. ``look`` is called between batches and may exchange the models; ``address`` is said."""

    source: Input
    scorers: Scorers
    outputs: Outputs
    orders: Orders
    health: Health
    metrics: Metrics
    tally: Tally
    save_s: float
    look: Callable[[], None] = lambda: None
    address: Callable[[], str] = lambda: ""

    @property
    def live(self) -> Live:
        return self.source.live

    def run(self) -> None:
        """Until the input ends or a signal says stop; what was taken in by then is scored, delivered and saved.

        Raises what the source raises, after saving what was scored, and ``UndeliveredError`` where an output did not
        take its changes in time, without saving: what a source can replay comes again at the next start.
        """
        save, refresh = Every(self.save_s), Every(REFRESH_S)
        told = 0
        self.scorers.commit = self.live.commit
        try:
            self.live.start(self.scorers)
            self.health.connected = True
            say(LOG, logging.INFO, "started", address=self.address())
            self._refresh()
            while not self.orders.stop and not self.live.ended:
                self._turn(self.live.poll(POLL_S))
                self.outputs.refresh(self.scorers.standing)
                self.look()
                if save():
                    self.scorers.save()
                if refresh():
                    self._refresh()
                    told = self._tell_rejected(told)
            self._finish()
        finally:
            self.health.stopping = True
            self.scorers.save()
            self.live.close()
            if self.health.connected:
                self.outputs.drain()
            say(LOG, logging.INFO, "stopped", events=self.tally.line())

    def _turn(self, batch: Batch | None) -> None:
        self.health.move()
        if batch is None:
            return
        with self.metrics.batch.time():
            self._deliver(lambda: self.scorers.push(batch))
        self.metrics.taken(batch.table)
        self.scorers.reached(batch)

    def _deliver(self, scored: Callable[[], Sequence[dict[str, Any]]]) -> None:
        try:
            changes = scored()
            self.outputs.send(changes)
        except BaseException:
            self.scorers.abandon()
            raise
        self.metrics.alerts(changes)

    def _finish(self) -> None:
        """At the end of the input complete what is open; otherwise score what nobody could send again."""
        self.health.stopping = True
        ended = self.live.ended
        say(LOG, logging.INFO, "stopping", reason="end of input" if ended else "signal")
        if ended:
            self._deliver(self.scorers.flush)
        elif not self.live.replayable:
            self.live.close()
            while not self.live.ended:
                self._turn(self.live.poll(POLL_S))

    def _refresh(self) -> None:
        self.metrics.refresh(self.scorers.by_part, self.tally)
        self.metrics.source(self.source.stats())

    def _tell_rejected(self, told: int) -> int:
        """Name the first few rejected rows; all are counted in the metrics."""
        for example in self.tally.examples[told:]:
            say(LOG, logging.WARNING, "event_rejected", example=example)
        return len(self.tally.examples)
