"""Posts a week of arrivals: as fast as they are taken, at their own pace where delays are to be measured."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pyarrow as pa
from chaos import Arrivals
from service import Service

from seqdetect.command.simulate import messages
from seqdetect.events import MICROSECONDS

FAST_ROWS: Final = 2_000
LIVE_S: Final = 0.5
"""How often events are posted while time runs at its own pace."""


@dataclass
class Feed:
    """``windows`` are stretches of simulated time [start, end) (microseconds) that are played in real time; ``events``
    are called at their simulated time: ``(microseconds, what to do)``."""

    service: Service
    windows: Sequence[tuple[int, int]]
    troubles: list[tuple[int, Callable[[], None]]]
    wall: list[tuple[int, int, float]] = field(default_factory=list)
    """Of each window its start and end and the wall clock at its start."""
    posts: int = 0
    unanswered: int = 0

    def run(self, arrivals: Arrivals, progress: Callable[[int], None]) -> None:
        """Returns once everything has been answered with 202."""
        row = 0
        self.troubles.sort(key=lambda one: one[0])
        for start, end in sorted(self.windows):
            upto = int(np.searchsorted(arrivals.arrival, start))
            self._fast(arrivals, row, upto, progress)
            row = int(np.searchsorted(arrivals.arrival, end))
            self.service.idle()
            self.wall.append((start, end, time.time()))
            self._live(arrivals, upto, row, start)
            progress(row)
        self._fast(arrivals, row, len(arrivals.arrival), progress)

    def _fast(self, arrivals: Arrivals, begin: int, end: int, progress: Callable[[int], None]) -> None:
        while begin < end:
            upto = min(begin + FAST_ROWS, end)
            self._troubled(int(arrivals.arrival[begin]))
            self._post(arrivals.table.slice(begin, upto - begin))
            begin = upto
            progress(begin)

    def _live(self, arrivals: Arrivals, begin: int, end: int, start: int) -> None:
        began = time.time()
        while begin < end:
            now = start + round((time.time() - began) * MICROSECONDS)
            upto = int(np.searchsorted(arrivals.arrival[begin:end], now)) + begin
            if upto > begin:
                self._post(arrivals.table.slice(begin, upto - begin))
                begin = upto
            time.sleep(LIVE_S)

    def _troubled(self, now: int) -> None:
        while self.troubles and self.troubles[0][0] <= now:
            self.troubles.pop(0)[1]()

    def _post(self, table: pa.Table) -> None:
        """A post without an answer is sent again, as a client would: ids make it harmless."""
        body = b"\n".join(messages(table))
        self.posts += 1
        while (status := self.service.post(body)) != 202:
            if status:
                raise RuntimeError(f"the service answers {status}")
            self.unanswered += 1
            time.sleep(0.2)
