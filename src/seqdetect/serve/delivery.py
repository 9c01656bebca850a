"""All outputs as one: what is scored is handed to each that wants it, and is safe afterwards."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from seqdetect.serve.logs import say
from seqdetect.serve.metrics import Metrics
from seqdetect.serve.queued import Queued
from seqdetect.serve.wanted import Wanted
from seqdetect.sink import Change, Sink

LOG = logging.getLogger(__name__)
FIRST_WAIT_S: Final = 0.5
LONGEST_WAIT_S: Final = 30.0
"""Until the next try at what failed: doubled each time between these two."""
_LOOK_S: Final = 0.1
_LAST_REQUEST_S: Final = 1.0


class UndeliveredError(RuntimeError):
    """An output did not take its changes before the service had to stop."""


@dataclass(frozen=True)
class Output:
    """Where changes go, and which: to a sink that answers at once, or to one with a queue on disk."""

    name: str
    sink: Sink | Queued
    wanted: Wanted = field(default_factory=Wanted)


@dataclass
class Outputs:
    """An output that cannot take its changes is tried again until it can, and holds up the service meanwhile.

    With a queue that happens only where its disk fails or its bound is reached: the far side may be down as long as it
    likes. ``wait`` sleeps for so many seconds and returns True when trying has to end. ``stop_s`` is how long ``drain``
    waits for the queues.
    """

    outputs: Sequence[Output]
    wait: Callable[[float], bool]
    metrics: Metrics
    stop_s: float

    def send(self, changes: Sequence[Change]) -> None:
        """Hand to each output what it wants, in order; to those with a queue first, since they need not wait for others.

        Raises ``UndeliveredError`` where trying had to end.
        """
        for output in sorted(self.outputs, key=lambda output: not isinstance(output.sink, Queued)):
            wanted = [change for change in changes if output.wanted(change)]
            if wanted:
                self._deliver(output, wanted)

    def refresh(self, standing: Callable[[], Sequence[Change]]) -> None:
        """Tell the far sides that forget what is open, where it is time to; only then is ``standing`` called."""
        due = [
            (output, output.sink)
            for output in self.outputs
            if isinstance(output.sink, Queued) and output.sink.due
        ]
        if due:
            found = standing()
            for output, queued in due:
                queued.stand([change for change in found if output.wanted(change)])

    def drain(self) -> None:
        """Give the queues time to run empty; what is left stays on disk for the next start."""
        queues = [output.sink for output in self.outputs if isinstance(output.sink, Queued)]
        for queued in queues:
            queued.hurry()
        end = time.monotonic() + self.stop_s
        while any(queued.spool.changes for queued in queues) and time.monotonic() < end:
            if self.wait(_LOOK_S):
                return

    def close(self) -> None:
        """End every thread and close every sink."""
        close(self.outputs)

    def _deliver(self, output: Output, changes: Sequence[Change]) -> None:
        sink = output.sink
        if isinstance(sink, Queued):
            self._wait_for_room(sink)
            self._insist(output.name, sink.put, changes)
        else:
            self._insist(output.name, sink.send, changes)
            self.metrics.sink_changes.labels(output.name).inc(len(changes))

    def _wait_for_room(self, queued: Queued) -> None:
        while queued.spool.full:
            say(LOG, logging.ERROR, "outbox_full", output=queued.name, waiting=queued.spool.changes)
            if self.wait(_LOOK_S):
                raise UndeliveredError(f"the queue of {queued.name} is full")

    def _insist(self, name: str, take: Callable[[Sequence[Change]], None], changes: Sequence[Change]) -> None:
        wait_s, tries = FIRST_WAIT_S, 0
        while True:
            try:
                take(changes)
                break
            # what a far side's client raises is its own affair; nothing may be lost over it
            except Exception as error:
                tries += 1
                self.metrics.sink_errors.labels(name).inc()
                what = f"{type(error).__name__}: {error}"
                say(LOG, logging.ERROR, "sink_failed", output=name, error=what, tries=tries, next_s=wait_s)
            if self.wait(wait_s):
                raise UndeliveredError(f"{len(changes)} changes of alerts were not delivered to {name}")
            self.metrics.sink_retries.labels(name).inc()
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)
        if tries:
            say(LOG, logging.INFO, "sink_back", output=name, tries=tries)


def close(outputs: Sequence[Output]) -> None:
    """End every thread and close every sink, whatever happens to the others."""
    for output in outputs:
        sink = output.sink
        if isinstance(sink, Queued):
            ended = sink.end(_LAST_REQUEST_S)
            if sink.spool.changes:
                say(LOG, logging.WARNING, "outbox_left", output=output.name, changes=sink.spool.changes)
            if not ended:  # a request is under way; what it brings is sent again after the next start
                continue
            sink = sink.sink
        try:
            sink.close()
        except Exception as error:
            say(LOG, logging.ERROR, "sink_not_closed", output=output.name, error=str(error))
