"""How the service itself is, from the figures that it keeps for Prometheus."""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Callable
from threading import Lock
from typing import Any, Final

from prometheus_client import CollectorRegistry

from seqdetect.serve.health import Health

RATE_S: Final = 30.0
"""The rate of events is that of about this long, or of the time since somebody last looked."""
_LEAST_S: Final = 2.0
_FIGURES: Final = {
    "watermark_lag_seconds": "lag_s",
    "checkpoint_age_seconds": "checkpoint_age_s",
    "events_read_total": "read",
    "events_late_total": "late",
    "queue_events": "waiting",
    "checkpoint_errors_total": "checkpoint_errors",
}
_BY: Final = {
    "events_rejected_total": ("rejected", "reason"),
    "users_tracked": ("users", "model"),
    "kafka_lag_events": ("kafka_lag", "part"),
    "sink_changes_total": ("delivered", "output"),
    "sink_errors_total": ("failures", "output"),
    "sink_refused_total": ("refused", "output"),
    "outbox_changes": ("queued", "output"),
    "outbox_oldest_seconds": ("queued_s", "output"),
}
_PREFIX: Final = "seqdetect_"


class Vitals:
    """Asked by the web server's threads."""

    def __init__(
        self, registry: CollectorRegistry, health: Health, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._registry = registry
        self._health = health
        self._clock = clock
        self._lock = Lock()
        self._read: deque[tuple[float, float]] = deque()

    def tell(self) -> dict[str, Any]:
        """Figures by name; those that are kept by reason, model or output are objects. What is not known is null."""
        alive, ready = self._health.alive(), self._health.ready()
        told: dict[str, Any] = {"ok": alive[0] and ready[0], "state": ready[1] if alive[0] else alive[1]}
        told |= dict.fromkeys(_FIGURES.values())
        groups: dict[str, dict[str, float]] = defaultdict(dict)
        wanted = self._registry.restricted_registry(_PREFIX + name for name in (*_FIGURES, *_BY))
        for family in wanted.collect():
            for sample in family.samples:
                name = sample.name.removeprefix(_PREFIX)
                if name in _FIGURES:  # of several parts the one that is worst off
                    told[_FIGURES[name]] = max(sample.value, told[_FIGURES[name]] or 0.0)
                elif name in _BY:
                    group, label = _BY[name]
                    groups[group][sample.labels[label]] = sample.value
        told |= {group: groups[group] for group, _ in _BY.values()}
        return told | {"events_per_s": self._rate(told["read"] or 0.0)}

    def _rate(self, read: float) -> float | None:
        """Events a second since the oldest look that is not too old; None at the first look."""
        now = self._clock()
        with self._lock:
            while len(self._read) > 1 and self._read[1][0] <= now - RATE_S:
                self._read.popleft()
            if not self._read or now >= self._read[-1][0] + _LEAST_S:
                self._read.append((now, read))
            since, before = self._read[0]
        return None if now < since + _LEAST_S else max(0.0, (read - before) / (now - since))
