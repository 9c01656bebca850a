"""How much each client may send: token buckets in a table of bounded size."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable

MOST_CLIENTS = 10_000
_LONGEST_NAME = 64


class Rates:
    """One bucket per client; ``per_s`` events flow into each, up to ``burst``.

    A body is weighed after it was read, so a bucket may go below nothing: the client then waits until it has
    been filled. Of more than ``most`` clients, those not seen for longest are forgotten (their next bucket is
    full), so the table bounds memory, not what very many addresses can send together.
    """

    def __init__(
        self,
        per_s: float,
        burst: float,
        most: int = MOST_CLIENTS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not (per_s > 0 and burst >= 1):
            raise ValueError(f"a rate of {per_s} events/s with a burst of {burst} lets nothing through")
        self._per_s, self._burst, self._most, self._clock = per_s, burst, most, clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def wait_s(self, client: str) -> int:
        """Whole seconds until ``client`` may send again; 0: now."""
        level = self._level(client)
        return 0 if level >= 1 else math.ceil((1 - level) / self._per_s)

    def charge(self, client: str, events: int) -> None:
        """``client`` has sent ``events``."""
        client = client[:_LONGEST_NAME]
        self._buckets[client] = (self._level(client) - events, self._clock())
        self._buckets.move_to_end(client)
        while len(self._buckets) > self._most:
            self._buckets.popitem(last=False)

    def _level(self, client: str) -> float:
        level, seen = self._buckets.get(client[:_LONGEST_NAME], (self._burst, 0.0))
        return min(self._burst, level + (self._clock() - seen) * self._per_s)
