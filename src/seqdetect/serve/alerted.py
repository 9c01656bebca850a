"""What became of alerts, in figures: opened, come back, muted, and how many reached the tier that a budget is for."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from seqdetect.alert.cap import OVERFLOW
from seqdetect.alert.population import KINDS
from seqdetect.score.engine import LEVELS
from seqdetect.score.kind import UNKNOWN
from seqdetect.scorer import Model

# An alert cannot be out before its tick is complete, which takes the lateness (10 s) and the next event.
_ALERT_S: Final = (5, 10, 11, 12, 13, 15, 20, 30, 60, 120, 300, 900, 3600)


class Alerted:
    """Counts changes that every output has taken. An alert that comes back after it was resolved is the same alert."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, what: str, *labels: str) -> Counter:
            return Counter(f"seqdetect_{name}", what, ["model", *labels], registry=registry)

        self._opened = counter("alerts_opened", "Alerts opened", "severity", "kind")
        self._reopened = counter("alerts_reopened", "Alerts that came back after they were resolved")
        self._muted = counter("alerts_muted", "Alerts beyond the daily cap, told to nobody", "severity")
        self._reached = counter("alerts_reached", "Alerts whose score reached a tier, each once", "tier")
        self._budget = Gauge(
            "seqdetect_alert_budget_per_user_week",
            "False alerts that a tier's threshold was set to allow per user and week",
            ["model", "tier"],
            registry=registry,
        )
        self._to_alert = Histogram(
            "seqdetect_event_to_alert_seconds",
            "From the end of an alert's first tick until its delivery",
            ["model"],
            buckets=_ALERT_S,
            registry=registry,
        )
        self._ticks_s: dict[str, float] = {}
        self._known: dict[tuple[str, str], tuple[int, bool]] = {}
        """Tier (place in ``LEVELS``) and muting of each open alert, as counted."""

    def models(self, models: Sequence[Model]) -> None:
        """The models now at work; a threshold of one's own has no budget.

        Counters begin at 0 where their labels are known: what appears with its first alert has not risen for
        Prometheus.
        """
        self._budget.clear()
        for model in models:
            meta = model.bundle.metadata
            self._ticks_s[model.name] = meta.tick_s
            self._reopened.labels(model.name)
            self._to_alert.labels(model.name)
            kinds = {*meta.kinds, *KINDS.values(), UNKNOWN, OVERFLOW}
            for level in LEVELS[1:]:
                self._muted.labels(model.name, level)
                self._reached.labels(model.name, level)
                for kind in kinds:
                    self._opened.labels(model.name, level, kind)
            for tier, threshold in meta.thresholds.items():
                if model.thresholds.get(tier, threshold.value) == threshold.value:
                    self._budget.labels(model.name, tier).set(threshold.budget_per_user_week)

    def resume(self, standing: Iterable[Mapping[str, Any]]) -> None:
        """Alerts that were open at the start, and were counted then."""
        for change in standing:
            self._known[_name(change)] = _tier(change), bool(change["muted"])

    def add(self, changes: Iterable[Mapping[str, Any]]) -> None:
        """Count what changed."""
        for change in changes:
            if change["change"] == "open":
                self._open(change)
            self._follow(change)

    def _open(self, change: Mapping[str, Any]) -> None:
        model = change["model"]
        if change["reopened"]:
            self._reopened.labels(model).inc()
            self._known.setdefault(_name(change), (_tier(change), bool(change["muted"])))
            return
        if _name(change) in self._known:
            return  # muted until now
        self._opened.labels(model, change["severity"], change["kind"]).inc()
        begun = datetime.fromisoformat(change["start"]).timestamp()
        self._to_alert.labels(model).observe(max(0.0, time.time() - begun - self._ticks_s[model]))

    def _follow(self, change: Mapping[str, Any]) -> None:
        """Count an alert once per tier that it reaches, and once where it is muted."""
        name, model, tier, muted = _name(change), change["model"], _tier(change), bool(change["muted"])
        before, was_muted = self._known.get(name, (0, False))
        if change["kind"] != OVERFLOW:  # which no threshold let through
            for reached in LEVELS[before + 1 : tier + 1]:
                self._reached.labels(model, reached).inc()
        if muted and not was_muted:
            self._muted.labels(model, change["severity"]).inc()
        if change["change"] == "resolve":
            self._known.pop(name, None)
        else:
            self._known[name] = max(before, tier), muted


def _name(change: Mapping[str, Any]) -> tuple[str, str]:
    return change["model"], change["alert_id"]


def _tier(change: Mapping[str, Any]) -> int:
    return LEVELS.index(change["tier"])
