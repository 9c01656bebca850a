"""Real far sides that are away for a while: what the queue kept arrives there, in order and once."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import programs
from changes import change
from seqdetect.serve.backoff import Backoff
from seqdetect.serve.metrics import Metrics
from seqdetect.serve.queued import Queued
from seqdetect.serve.spool import Spool
from seqdetect.sink import Change, Sink
from seqdetect.sink.alertmanager import AlertmanagerSink
from seqdetect.sink.influxdb import InfluxDBSink

from .running import until

NOBODY = "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n"


@contextmanager
def queued(folder: Path, sink: Sink) -> Iterator[Queued]:
    spool = Spool(folder / "far.queue", 1 << 20)
    one = Queued("far", sink, spool, folder / "refused.jsonl", Backoff(random.Random(0)), Metrics())
    try:
        yield one
    finally:
        assert one.end(30)
        sink.close()
    assert not (folder / "refused.jsonl").exists()


def put(queue: Queued, changes: Sequence[Change]) -> None:
    for one in changes:
        queue.put([one])


def failing(queue: Queued, caplog) -> None:
    until(lambda: "sink_failed" in caplog.text, "a try that fails")
    assert queue.spool.changes


def test_influxdb_gets_what_it_missed(tmp_path, caplog):
    with programs.influxd(tmp_path) as influx:
        programs.create(influx, "llm")
        port = influx.port
    with queued(tmp_path, InfluxDBSink(f"http://127.0.0.1:{port}", "llm")) as queue:
        put(queue, [change(alert_id=f"{one:016x}", user_id=f"u{one}") for one in range(60)])
        failing(queue, caplog)
        with programs.influxd(tmp_path, port) as influx:
            until(lambda: not queue.spool.changes, "the queue to run empty")
            found = programs.query(influx, "llm", "SELECT user_id FROM llm_alert")
    assert sorted(one["user_id"] for one in found) == sorted(f"u{one}" for one in range(60))


def test_alertmanager_gets_what_it_missed(tmp_path, caplog):
    with programs.alertmanager(tmp_path, NOBODY) as manager:
        port = manager.port
    with queued(tmp_path, AlertmanagerSink([f"http://127.0.0.1:{port}"])) as queue:
        put(queue, [change(alert_id="one", severity="warning"), change("update", alert_id="one")])
        put(queue, [change(alert_id="two"), change("resolve", alert_id="two")])
        failing(queue, caplog)
        with programs.alertmanager(tmp_path, NOBODY, port) as manager:
            until(lambda: not queue.spool.changes, "the queue to run empty")
            labels = [alert["labels"] for alert in manager.get("/api/v2/alerts")]
    assert [(one["alert_id"], one["severity"]) for one in labels] == [("one", "critical")]
