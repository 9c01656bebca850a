"""What the service tells about itself: figures, and whether it is alive and ready."""

from __future__ import annotations

import re

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.applications import Starlette

from seqdetect.serve import health as healths
from seqdetect.serve import web
from seqdetect.serve.config import Web
from seqdetect.serve.health import Health
from seqdetect.serve.metrics import Metrics

from .running import Service, calm, event, lines, until

UNITS = ("_total", "_seconds", "_bytes", "_info", "_bucket", "_count", "_sum")
BARE = {
    "alert_budget_per_user_week",
    "alerts_open",
    "events_pending",
    "kafka_lag_events",
    "queue_events",
    "top_score",
    "top_tokens_per_second",
    "users_active",
    "users_tracked",
}
"""Gauges that count things: their unit is their name."""


def samples(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    found = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {(one.name, frozenset(one.labels.items())): one.value for one in found}


@pytest.mark.parametrize("source", ["http", "file"])
def test_the_figures_say_what_happened(tmp_path, source):
    events = [
        *calm(0),
        event(0, "secret-user", 50_000),
        *calm(25),
        event(1, "late-user"),
        event(30, "bad", -1),
    ]
    inputs = {"http": {}} if source == "http" else {"file": {"path": "events.jsonl"}}
    (tmp_path / "events.jsonl").write_bytes(lines(events))
    with Service(tmp_path, input=inputs) as service:
        if source == "http":
            service.post(events)
            service.request("POST", "/v1/events", b"no json")
        service.reads(43)
        until(lambda: service.figure("seqdetect_checkpoint_bytes"), "a checkpoint")
        until(lambda: service.figure("seqdetect_events_late_total"), "the figures of the scorer")
        text = service.request("GET", "/metrics")[1]
        top = service.request("GET", "/metrics/top")[1]
        assert service.stop() == 0
    assert not re.search("secret-user|late-user|calm-", text + top)
    found = samples(text + top)

    def told(name: str, **labels: str) -> float:
        return found[f"seqdetect_{name}", frozenset(labels.items())]

    of, kind = {"model": "tokens"}, {"model": "tokens", "severity": "critical", "kind": "wallet"}
    assert told("events_read_total") == 43
    assert told("events_rejected_total", reason="negative_tokens") == 1
    assert told("events_late_total") == 1
    assert told("steps_scored_total", **of) == 21
    assert told("scores_total", level="critical", **of) == 1
    assert told("score_count", **of) == 21
    assert told("alerts_reached_total", tier="critical", **of) == 1
    assert told("alert_budget_per_user_week", tier="critical", **of) == 1
    assert told("users_active", window="1h", **of) == 21
    assert told("tokens_total", direction="prompt", llm_model="other") == 42 * 10
    assert told("top_score", rank="1", **of) > told("top_score", rank="2", **of)
    assert told("scores_total", level="warning", **of) == 0
    assert told("alerts_opened_total", **kind) == told("alerts_open", **kind) == 1
    assert told("users_tracked", **of) >= 21
    assert told("events_pending", **of) == 20
    assert told("watermark_timestamp_seconds", part="input") == 1_772_409_610
    assert told("watermark_lag_seconds", part="input") > 1e6
    assert told("batch_seconds_count") >= 1
    assert told("event_to_alert_seconds_count", **of) == 1
    assert told("sink_changes_total", output="jsonl-0") == 1
    assert told("checkpoint_seconds") > 0
    assert told("checkpoint_age_seconds") >= 0
    if source == "http":
        assert told("http_requests_total", code="202") == 1
    names = {name for name, _ in found if name.startswith("seqdetect_")}
    assert all(name.endswith(UNITS) or name.removeprefix("seqdetect_") in BARE for name in names), names
    (info,) = [dict(labels) for name, labels in found if name == "seqdetect_bundle_info"]
    assert (info["model"], info["key"], info["shadow"]) == ("tokens", "user_id", "false")
    assert any(name == "seqdetect_build_info" for name, _ in found)


def test_a_service_that_runs_is_alive_and_ready(tmp_path):
    with Service(tmp_path, input={"file": {"path": "not-there-yet.jsonl"}}) as service:
        assert service.request("GET", "/healthz") == (200, "ok\n")
        assert service.request("GET", "/readyz") == (200, "ok\n")
        assert service.request("GET", "/v1/events")[0] == 404
        assert service.stop() == 0


def test_who_does_not_move_is_not_alive(monkeypatch):
    now = 100.0
    monkeypatch.setattr(healths.time, "monotonic", lambda: now)
    health = Health(stall_s=60)
    now = 150.0
    assert health.alive() == (True, "ok")
    now = 170.0
    assert health.alive() == (False, "the scoring loop has not moved for 70 s")
    health.move()
    assert health.alive() == (True, "ok")


def test_ready_is_who_is_connected_and_not_stopping():
    health = Health(stall_s=60)
    assert health.ready() == (False, "the input is not connected yet")
    health.connected = True
    assert health.ready() == (True, "ok")
    health.stopping = True
    assert health.ready() == (False, "stopping")


def test_answers_have_the_status_that_probes_look_at():
    import http.client

    health = Health(stall_s=0.0)
    routes = web.routes(Metrics(), health)
    assert Starlette(routes=routes)
    with web.serving(Web(port=0), routes) as server:
        statuses = {}
        for path in ("/healthz", "/readyz", "/metrics"):
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
            connection.request("GET", path)
            statuses[path] = connection.getresponse().status
            connection.close()
    assert statuses == {"/healthz": 503, "/readyz": 503, "/metrics": 200}
