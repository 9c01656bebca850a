"""The service as a process: events in over HTTP, a file and a pipe; signals, crashes, restarts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time

import pytest

import handmade
from seqdetect.bundle.load import load
from seqdetect.events import Tally
from seqdetect.scorer import Model, Scorer
from seqdetect.source.live.reader import Reader
from seqdetect.source.parse.header import Layout

from .running import Service, event, last, lines, stream, until

STREAM = stream()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The last state of every alert of ``STREAM`` where nothing happens to the scorer, its last ticks open."""
    bundle = load(handmade.write(tmp_path_factory.mktemp("bundle") / "b.onnx"))
    scorer = Scorer([Model("tokens", bundle)], Tally())
    expected = last(scorer.push(Reader(Layout()).read(lines(STREAM), "test", Tally())))
    assert {one["change"] for one in expected.values()} == {"open", "resolve"}
    return expected


def test_posted_events_are_scored_and_a_graceful_stop_keeps_what_was_accepted(tmp_path, undisturbed):
    with Service(tmp_path) as service:
        half = len(STREAM) // 2
        assert service.post(STREAM[:half])["accepted"] == half
        # nothing waits for the scoring: what is queued now has to be scored on the way out
        assert service.stop() == 0
        assert service.said("stopping")[0]["reason"] == "signal"
        service.start()
        assert service.said("part_assigned")[0]["restored"].endswith("state/input.ckpt")
        assert service.post(STREAM[half:])["accepted"] == len(STREAM) - half
        assert service.stop() == 0
    assert last(service.changes()) == undisturbed


@pytest.mark.slow
@pytest.mark.parametrize("source", ["file", "http"])
def test_killed_at_any_moment_no_alert_is_lost_and_none_is_new(tmp_path, undisturbed, source):
    events = tmp_path / "events.jsonl"
    events.touch()
    inputs = {"file": {"path": "events.jsonl"}} if source == "file" else {"http": {"journal": "journal"}}
    service = Service(tmp_path, input=inputs, checkpoint={"folder": "state", "every_s": 0.05})
    pieces = [STREAM[place : place + 200] for place in range(0, len(STREAM), 200)]
    with service:
        for number, piece in enumerate(pieces):
            if source == "file":
                with open(events, "ab") as file:
                    file.write(lines(piece))
            else:
                service.post(piece)
            if number in (2, 3, 7):
                if number == 7:
                    service.reads(1)
                service.kill()
                service.start()
        until(lambda: undisturbed.keys() <= last(service.changes()).keys(), "the alerts")
        until(lambda: last(service.changes()) == undisturbed, "the last states")
        assert service.stop() == 0
    assert last(service.changes()) == undisturbed


def test_a_line_torn_by_a_crash_is_written_again(tmp_path, undisturbed):
    (tmp_path / "events.jsonl").write_bytes(lines(STREAM))
    with Service(
        tmp_path, input={"file": {"path": "events.jsonl"}}, checkpoint={"folder": "state", "every_s": 1000}
    ) as service:
        until(lambda: last(service.changes()) == undisturbed, "the alerts")
        service.kill()
        alerts = tmp_path / "alerts.jsonl"
        alerts.write_bytes(alerts.read_bytes()[:-9])
        assert last(service.changes()) != undisturbed
        service.start()
        until(lambda: last(service.changes()) == undisturbed, "the alerts again")
    assert len(service.changes()) > len(undisturbed)


def test_standard_input_is_scored_to_its_end(tmp_path):
    with Service(tmp_path, input={"stdin": {}}).start(stdin=subprocess.PIPE) as service:
        service.process.communicate(lines([*STREAM, event(4000, "late", 50_000), event(4100)]), timeout=30)
        assert service.process.returncode == 0
    assert service.said("stopping")[0]["reason"] == "end of input"
    # the tick of its last event is complete: nothing comes after the end
    assert {"u0", "u1", "u2", "u3", "late"} == {one["user_id"] for one in service.changes()}
    assert f"{len(STREAM) + 2} read, 0 rejected" in service.said("stopped")[0]["events"]


def test_a_second_signal_ends_at_once_what_a_first_one_cannot(tmp_path):
    pipe = tmp_path / "alerts.jsonl"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with Service(tmp_path, limits={"stop_s": 600}) as service:
        os.close(reader)
        service.post(STREAM)
        until(lambda: service.figure('seqdetect_sink_errors_total{output="jsonl-0"}') >= 1, "a failure")
        service.signal(signal.SIGINT)
        time.sleep(0.3)
        assert service.process.poll() is None
        service.signal(signal.SIGINT)
        assert service.ended() == 128 + signal.SIGINT


def test_while_a_sink_fails_nothing_is_taken_in_and_afterwards_nothing_is_missing(tmp_path, undisturbed):
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    events, half = tmp_path / "events.jsonl", len(STREAM) // 2
    events.touch()
    outputs = [{"jsonl": {"path": "alerts.jsonl"}}, {"jsonl": {"path": "pipe"}}]
    with Service(tmp_path, input={"file": {"path": "events.jsonl"}}, outputs=outputs) as service:
        os.close(reader)
        events.write_bytes(lines(STREAM[:half]))
        until(lambda: service.figure('seqdetect_sink_retries_total{output="jsonl-1"}') >= 1, "a second try")
        assert not (tmp_path / "state" / "input.ckpt").exists()
        with open(events, "ab") as file:
            file.write(lines(STREAM[half:]))
        assert last(service.changes()) != undisturbed
        reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
        until(lambda: last(service.changes()) == undisturbed, "the alerts")
        until(lambda: service.said("sink_back"), "a word of it")
        assert service.stop() == 0
    with open(reader) as pipe:
        assert last(json.loads(line) for line in pipe) == undisturbed
    assert len(service.changes()) == len({json.dumps(one) for one in service.changes()})


def test_what_no_sink_took_before_the_end_comes_again(tmp_path, undisturbed):
    pipe = tmp_path / "alerts.jsonl"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    inputs = {"file": {"path": "events.jsonl"}}
    with Service(tmp_path, input=inputs, limits={"stop_s": 0.3}) as service:
        os.close(reader)
        (tmp_path / "events.jsonl").write_bytes(lines(STREAM))
        until(lambda: service.figure('seqdetect_sink_retries_total{output="jsonl-0"}') >= 1, "a second try")
        assert service.request("GET", "/healthz") == (200, "ok\n")
        assert service.stop() == 1
        assert "not delivered to jsonl-0" in service.said("failed")[0]["error"]
        pipe.unlink()
        service.start()
        until(lambda: last(service.changes()) == undisturbed, "the alerts")


def test_hostile_events_are_counted_and_change_nobody(tmp_path, undisturbed):
    bad = [b"\xff\xfe\x00", b"{", b"[1,2]", b'{"timestamp": NaN}', b"x" * 2_000_000, b"null", b'"\\ud800"']
    hostile = [
        *[event(second, f"ghost-{second}", -5) for second in range(50)],
        *[event(second, "", 5) for second in range(50)],
        *[event(0, "old") | {"timestamp": when} for when in ("1970-01-01T00:00:00Z", "2099-01-01T00:00:00Z")],
        *[event(0, "odd") | {"timestamp": when} for when in (1e300, -1, "yesterday", None, [], {})],
    ]
    (tmp_path / "events.jsonl").write_bytes(
        b"".join(
            lines([one])
            + (bad[n % 7] + b"\n" if n % 100 == 0 else b"")
            + (lines([hostile[n // 20 % len(hostile)]]) if n % 20 == 0 else b"")
            for n, one in enumerate(STREAM)
        )
    )
    with Service(tmp_path, input={"file": {"path": "events.jsonl"}}) as service:
        until(lambda: last(service.changes()) == undisturbed, "the alerts")
        until(
            lambda: service.figure('seqdetect_events_rejected_total{reason="negative_tokens"}') >= 25,
            "counts",
        )
        assert service.figure('seqdetect_events_rejected_total{reason="malformed_line"}') >= 10
        until(lambda: service.said("event_rejected"), "a line on a rejected event")
        assert service.stop() == 0


def test_several_keys_are_scored_over_one_parse(tmp_path):
    models = [
        {"name": "users", "bundle": "bundle.onnx", "prices": {"prompt": 1.0, "completion": 10.0}},
        {"name": "all", "bundle": "bundle.onnx", "key": "service", "runbooks": "https://wiki/runbooks"},
        {"name": "addresses", "bundle": "bundle.onnx", "key": "client_ip", "thresholds": {"critical": 9.0}},
    ]
    with Service(tmp_path, models=models) as service:
        # a hundred requests in each tick, one per user, all from two addresses
        many = [event(n / 10, f"u{n}", 900, client_ip=f"10.0.0.{n % 2}") for n in range(1000)]
        service.post([*many, event(100, "big", 50_000), event(200)])
        assert service.stop() == 0
    opened = [one for one in service.changes() if one["change"] == "open"]
    found = {(one["model"], one["key"], one["user_id"], one["severity"]) for one in opened}
    assert found == {
        ("users", "user_id", "big", "critical"),
        ("all", "service", "service", "critical"),
        ("addresses", "client_ip", "10.0.0.0", "warning"),
        ("addresses", "client_ip", "10.0.0.1", "warning"),
    }
    by_model = {one["model"]: one for one in opened}
    assert by_model["users"]["cost_usd"] == pytest.approx(0.50001)
    assert by_model["all"]["runbook_url"].startswith("https://wiki/runbooks/")
    assert by_model["all"]["cost_usd"] is None
