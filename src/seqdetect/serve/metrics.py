"""What Prometheus is told: counters, gauges and histograms in a registry of their own. No user's name is among them."""

from __future__ import annotations

import platform
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import version
from typing import Any, Final

import prometheus_client as prometheus
import pyarrow as pa
from prometheus_client import CollectorRegistry, Gauge, Histogram

from seqdetect.events import MICROSECONDS, Tally
from seqdetect.score.engine import Scored
from seqdetect.scorer import Model, Scorer
from seqdetect.serve.alerted import Alerted
from seqdetect.serve.judged import Judged
from seqdetect.serve.spool import Spool
from seqdetect.serve.spread import Spread
from seqdetect.serve.top import Top
from seqdetect.serve.usage import OTHER, Priced, Usage

_FAST_S: Final = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30)
LONE: Final = "input"
"""What the one part of a source with one part is called where a name is needed."""
_KIND: Final = ("model", "severity", "kind")
_WINDOWS: Final = {"1h": 3600, "1d": 86_400, "7d": 604_800}
"""Seconds of event time that users count as active for."""


class Metrics:
    """Every figure of one service. Written by the scoring thread, read by the web server's."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        prometheus.disable_created_metrics()  # type: ignore[no-untyped-call]
        prometheus.ProcessCollector(registry=self.registry)
        self._seen: dict[tuple[str, ...], float] = {}
        self._saved_at = time.monotonic()
        counter, gauge, histogram = self._counter, self._gauge, self._histogram

        self._read = counter("events_read", "Events that came in, rejected ones among them")
        self._rejected = counter("events_rejected", "Events that were not scored, by reason", "reason")
        self._skipped = counter(
            "events_skipped", "Records of other programs that were no requests to a model"
        )
        self._late = counter("events_late", "Events that came after their tick was complete; not scored")
        self._steps = counter("steps_scored", "Steps scored: users active in a tick", "model")
        self._levels = counter("scores", "Scores at a level", "model", "level")
        self._spread = Spread()
        self.registry.register(self._spread)
        self.top = Top()
        self._alerted = Alerted(self.registry)
        self._usage = Usage(
            counter("tokens", "Tokens of the events taken in", "direction", "llm_model"),
            counter("cost_usd", "Their cost at the configured prices", "llm_model"),
        )
        self._open = gauge("alerts_open", "Alerts open now", *_KIND)
        self._users = gauge("users_tracked", "Users remembered", "model")
        self._active = gauge(
            "users_active", "Users who sent something in so much event time", "model", "window"
        )
        self._evicted = counter("users_evicted", "Users forgotten to keep within limits.max_users", "model")
        self._state = gauge("state_bytes", "Memory of the users' state rows", "model")
        self._pending = gauge("events_pending", "Events whose tick is not complete", "model")
        self._watermark = gauge("watermark_timestamp_seconds", "Up to here every tick is complete", "part")
        self._lag = gauge("watermark_lag_seconds", "Wall clock minus watermark", "part")
        self.batch = histogram("batch_seconds", "Time to score a batch and deliver its alerts", _FAST_S)
        self._saved_age = gauge("checkpoint_age_seconds", "Since the last checkpoint, or the start")
        self._saved_age.set_function(lambda: time.monotonic() - self._saved_at)
        self._saved_s = gauge("checkpoint_seconds", "Time that the last checkpoint took")
        self._saved_bytes = gauge("checkpoint_bytes", "Size of the last checkpoint")
        self.save_errors = counter("checkpoint_errors", "Checkpoints that could not be written")
        self.sink_errors = counter("sink_errors", "Deliveries that failed", "output")
        self.sink_retries = counter("sink_retries", "Deliveries tried again", "output")
        self.sink_changes = counter("sink_changes", "Changes of alerts delivered", "output")
        self.sink_refused = counter("sink_refused", "Changes put aside: refused for ever", "output")
        self._outbox = gauge("outbox_changes", "Changes of alerts that wait on disk", "output")
        self._outbox_bytes = gauge("outbox_bytes", "Size of the changes that wait on disk", "output")
        self._outbox_oldest = gauge("outbox_oldest_seconds", "For how long the first one waits", "output")
        self.reloads = counter("reloads", "Takeovers of new models: taken, refused or failed", "result")
        for result in ("taken", "refused", "failed"):
            self.reloads.labels(result)
        self._answers = counter(
            "http_requests", "Requests that brought events, by status of the answer", "code"
        )
        self._waiting = gauge("queue_events", "Events taken in and not scored yet")
        self._waiting_bytes = gauge("queue_bytes", "Memory of the events that wait")
        self._log_bytes = gauge("journal_bytes", "Size of the write-ahead log")
        self._unread = gauge("journal_unread_bytes", "What the write-ahead log holds that is not scored yet")
        self._gaps = counter("input_gaps", "Times that a file was rotated away or cut before it was read")
        self._dead = counter("kafka_dead_letters", "Messages with a bad row")
        self._client_errors = counter("kafka_errors", "Errors of the Kafka client", "error")
        self._kafka = gauge("kafka_lag_events", "Messages of the partition not yet read", "part")
        self._bundles = gauge(
            "bundle_info", "The bundles at work", "model", "key", "version", "sha256", "shadow"
        )
        self._gauge("build_info", "This program", "version", "python", "onnxruntime").labels(
            version("seqdetect"), platform.python_version(), version("onnxruntime")
        ).set(1)

    def text(self) -> bytes:
        """The figures as Prometheus reads them."""
        return prometheus.generate_latest(self.registry)

    def models(self, models: Sequence[Model], digests: Mapping[str, str]) -> None:
        """The bundles now at work; ``digests`` are their files' SHA-256 by model."""
        self._bundles.clear()
        self.forget_gauges()
        self._alerted.models(models)
        self._usage.price(_prices(models))
        self.top.keep({model.name for model in models})
        for model in models:
            meta = model.bundle.metadata
            shadow = str(model.shadow).lower()
            self._bundles.labels(model.name, model.key, meta.version, digests[model.name][:12], shadow).set(1)

    def alerts(self, changes: Iterable[Mapping[str, Any]]) -> None:
        """Changes that every sink has taken."""
        self._alerted.add(changes)

    def taken(self, events: pa.Table) -> None:
        """Events that were taken in."""
        self._usage.add(events)

    def scored(self, part: str, model: str, scored: Scored) -> None:
        """Steps that ``model`` has scored."""
        self._spread.add(model, scored.score)
        self.top.add(part, model, scored)

    def follow_verdicts(self, counts: Callable[[], Mapping[str, int]]) -> None:
        """Show how many alerts count as what; ``counts`` is asked at each scrape."""
        self.registry.register(Judged(counts))

    def queue(self, output: str, spool: Spool) -> None:
        """A queue that is looked at whenever the figures are asked for."""
        for counter in (self.sink_errors, self.sink_changes, self.sink_refused):
            counter.labels(output)
        self._outbox.labels(output).set_function(lambda: spool.changes)
        self._outbox_bytes.labels(output).set_function(lambda: spool.bytes)
        self._outbox_oldest.labels(output).set_function(lambda: spool.oldest_s)

    def saved(self, seconds: float, size: int) -> None:
        """A checkpoint is written."""
        self._saved_at = time.monotonic()
        self._saved_s.set(seconds)
        self._saved_bytes.set(size)

    def source(self, told: Mapping[str, Any]) -> None:
        """What a source says of itself (``stats``), as far as it is known here."""
        for code, count in told.get("answers", {}).items():
            self._answers.labels(str(code)).inc(self._more(("source", "answers", str(code)), count))
        for name, count in told.get("errors", {}).items():
            self._client_errors.labels(name).inc(self._more(("source", "errors", name), count))
        self._dead.inc(self._more(("source", "dead"), told.get("dead_letters", 0)))
        self._gaps.inc(self._more(("source", "gaps"), told.get("gaps", 0)))
        for part, lag in told.get("lag", {}).items():
            self._kafka.labels(part).set(lag)
        self._log_bytes.set(told.get("log_bytes", 0))
        self._unread.set(told.get("log_unread_bytes", 0))
        self._waiting.set(told.get("queue_rows", 0))
        self._waiting_bytes.set(told.get("queue_bytes", 0))

    def forget_gauges(self) -> None:
        """Drop what models and parts that are gone have left; ``refresh`` sets the rest again."""
        for gauge in (
            self._open,
            self._users,
            self._active,
            self._state,
            self._pending,
            self._watermark,
            self._lag,
        ):
            gauge.clear()

    def begin_part(self, part: str, scorer: Scorer) -> None:
        """A part begins here; what its checkpoint has counted is not counted again."""
        for model, told in scorer.stats().items():
            for what in ("steps", "evicted", "warning", "critical"):
                self._seen[part, model, what] = told[what]
        self._alerted.resume(scorer.standing())

    def forget_part(self, part: str) -> None:
        """The part is somebody else's now; what it has counted stays counted."""
        self._seen = {key: value for key, value in self._seen.items() if key[0] != part}
        self.top.forget_part(part)
        self.forget_gauges()
        self._kafka.clear()

    def refresh(self, scorers: Mapping[str, Scorer], tally: Tally) -> None:
        """Bring everything up to date that the scorers and the tally keep."""
        self._read.inc(self._more(("tally", "read"), tally.read))
        self._late.inc(self._more(("tally", "late"), tally.late))
        self._skipped.inc(self._more(("tally", "skipped"), tally.skipped))
        for reason, count in tally.rejected.items():
            self._rejected.labels(reason).inc(self._more(("tally", "rejected", reason), count))
        held: Counter[tuple[str, str]] = Counter()
        for part, scorer in scorers.items():
            for model, told in scorer.stats().items():
                self._count(part, model, told)
                for what in ("users", "state_bytes", "pending"):
                    held[what, model] += told[what]
            self._time(part, scorer)
            held.update(_active(scorer))
        for window in _WINDOWS:
            for (what, model), users in held.items():
                if what == window:
                    self._active.labels(model, window).set(users)
        for gauge, what in ((self._users, "users"), (self._state, "state_bytes"), (self._pending, "pending")):
            for (name, model), value in held.items():
                if name == what:
                    gauge.labels(model).set(value)
        self._refresh_open(scorers.values())

    def _count(self, part: str, model: str, told: Mapping[str, Any]) -> None:
        self._steps.labels(model).inc(self._more((part, model, "steps"), told["steps"]))
        self._evicted.labels(model).inc(self._more((part, model, "evicted"), told["evicted"]))
        for level in ("warning", "critical"):
            self._levels.labels(model, level).inc(self._more((part, model, level), told[level]))

    def _time(self, part: str, scorer: Scorer) -> None:
        marks = [lane.stream.clock.closed for lane in scorer.lanes]
        known = [mark for mark in marks if mark is not None]
        if known:
            mark_s = min(known) / MICROSECONDS
            self._watermark.labels(part or LONE).set(mark_s)
            self._lag.labels(part or LONE).set(time.time() - mark_s)

    def _refresh_open(self, scorers: Iterable[Scorer]) -> None:
        found: Counter[tuple[str, str, str]] = Counter()
        for scorer in scorers:
            for lane in scorer.lanes:
                for head in lane.heads:
                    book = head.book
                    surge = [book.surge.alert] if book.surge is not None else []
                    overflow = [book.cap.overflow] if book.cap.overflow is not None else []
                    for alert in (*book.open.values(), *surge, *overflow):
                        found[head.name, alert.severity, alert.kind] += 1
        known = {(told["model"], told["severity"], told["kind"]) for told in _labels(self._open)}
        for labels in known | set(found):
            self._open.labels(*labels).set(found[labels])

    def _more(self, key: tuple[str, ...], count: float) -> float:
        """What came since the last call; all of it where the count began anew."""
        before = self._seen.get(key, 0)
        self._seen[key] = count
        return count - before if count >= before else count

    def _counter(self, name: str, what: str, *labels: str) -> prometheus.Counter:
        return prometheus.Counter(f"seqdetect_{name}", what, labels, registry=self.registry)

    def _gauge(self, name: str, what: str, *labels: str) -> Gauge:
        return Gauge(f"seqdetect_{name}", what, labels, registry=self.registry)

    def _histogram(self, name: str, what: str, buckets: Sequence[float], *labels: str) -> Histogram:
        return Histogram(f"seqdetect_{name}", what, labels, buckets=buckets, registry=self.registry)


def _labels(gauge: Gauge) -> list[dict[str, str]]:
    return [sample.labels for metric in gauge.collect() for sample in metric.samples]


def _active(scorer: Scorer) -> Counter[tuple[str, str]]:
    """By window and model: users with a step in it, up to where every tick is complete."""
    found: Counter[tuple[str, str]] = Counter()
    for lane in scorer.lanes:
        now = lane.stream.clock.closed
        if now is None:
            continue
        last = lane.stream.featurizer.facts.last_tick
        for window, seconds in _WINDOWS.items():
            users = int((last > max(0, now - seconds * MICROSECONDS)).sum())
            found.update({(window, head.name): users for head in lane.heads})
    return found


def _prices(models: Sequence[Model]) -> dict[str, Priced]:
    """What traffic costs, by LLM model: as the first model has it that has prices."""
    first = next((model.prices for model in models if model.prices is not None), None)
    if first is None:
        return {}
    return dict(first.models) if first.default is None else {**first.models, OTHER: first.default}
