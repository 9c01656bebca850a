"""The page's addresses in a running service, and what they say."""

from __future__ import annotations

import base64
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Gauge

from seqdetect.feedback.store import Verdicts
from seqdetect.serve.health import Health
from seqdetect.serve.page import answers, words
from seqdetect.serve.page.board import Board
from seqdetect.serve.page.verdicts import Judgements
from seqdetect.serve.page.vitals import Vitals

from .running import START, Service, calm, event, lines, until

HOSTILE = [
    "<img src=x onerror=alert(1)>",
    "..",
    "a/b?c#d%2F",
    "\u202egnp.exe",
    "'; DROP TABLE verdicts; --",
    "a\nb\0c",
    "ü" * 300,
]
LOUD = 50_000


def told(service: Service, path: str, status: int = 200, **headers: str) -> Any:
    found, body = service.request("GET", path, **headers)
    assert found == status, body
    return json.loads(body)


def attacked(service: Service, users: list[str]) -> list[dict[str, Any]]:
    """Post calm traffic and a loud request of each of ``users``; their open alerts."""
    service.post([*calm(0), *(event(1 + place, user, LOUD) for place, user in enumerate(users)), *calm(40)])
    found: list[dict[str, Any]] = until(
        lambda: (
            told(service, "/api/alerts")["open"]
            if len(told(service, "/api/alerts")["open"]) == len(users)
            else None
        ),
        "the alerts",
    )
    return found


def say(service: Service, **said: str) -> tuple[int, dict[str, Any]]:
    body = {"model": "tokens", "verdict": "false", "author": "Ana"} | said
    status, answer = service.request(
        "POST", "/api/verdicts", json.dumps(body).encode(), **{"Content-Type": "application/json"}
    )
    return status, json.loads(answer)


def test_alerts_users_and_timelines_hold_hostile_names_as_they_are(tmp_path):
    with Service(tmp_path) as service:
        users = HOSTILE[:4]  # more at once would be one alert of them all
        alerts = attacked(service, users)
        assert sorted(one["user_id"] for one in alerts) == sorted(users)
        for alert in alerts:
            timeline = told(service, f"/{alert['timeline']}&minutes=60")
            assert timeline["user"] == alert["user_id"]
            assert timeline["steps"]["level"] == [2]
            assert [one["name"] for one in timeline["volumes"]] == [
                "requests",
                "prompt_tokens",
                "completion_tokens",
            ]
            assert timeline["volumes"][2]["value"] == [pytest.approx(LOUD, rel=1e-4)]
            assert timeline["volumes"][2]["low"] is None  # too few steps for a band
            assert "50,000 completion tokens in 10 s" in timeline["worst"][0]["causes"][0]
            assert [one["alert_id"] for one in timeline["alerts"]] == [alert["alert_id"]]
        assert told(service, "/api/alerts")["now"] == f"{START:%Y-%m-%d}T00:00:10Z"  # event time
        top = told(service, "/api/users?model=tokens&by=tokens")
        assert {one["user"] for one in top["users"][:4]} == set(users)
        assert service.stop() == 0


def test_what_is_not_there_is_said_and_nothing_breaks(tmp_path):
    with Service(tmp_path) as service:
        assert told(service, "/api/alerts") == {
            "now": None, "models": told(service, "/api/alerts")["models"], "open": [], "open_total": 0, "resolved": [],
            "resolved_total": 0, "verdicts": False,
        }  # fmt: skip
        nobody = told(service, f"/api/users/{answers.named('nobody')}/timeline")
        assert (nobody["known"], nobody["watched"], nobody["steps"]) == (False, False, None)
        assert "model" in told(service, "/api/users?model=nope", 404)["error"]
        assert "order" in told(service, "/api/users?by=fame", 400)["error"]
        assert "base64url" in told(service, "/api/users/!!!/timeline", 404)["error"]
        for minutes in ("0", "-1", "nan", "inf", "1e9", "x"):
            assert "minutes" in told(service, f"/api/users/YQ/timeline?minutes={minutes}", 400)["error"]
        assert service.request("GET", "/page/../page.html")[0] == 404
        assert service.request("GET", "/page/board.py")[0] == 404
        assert service.request("DELETE", "/api/alerts")[0] == 405
        assert told(service, "/api/alerts", 421, Host="evil.example")["error"]
        assert service.stop() == 0


def test_verdicts_are_kept_and_shown(tmp_path):
    with Service(tmp_path, feedback={"path": "verdicts.db"}) as service:
        (alert,) = attacked(service, [HOSTILE[4]])
        assert told(service, "/api/alerts")["verdicts"] is True
        assert alert["verdict"] is None
        known = {"alert_id": alert["alert_id"]}
        status, kept = say(service, **known, note="<b>a test</b>", verdict="benign")
        assert (status, kept["verdict"], kept["author"], kept["note"]) == (
            201,
            "benign",
            "Ana",
            "<b>a test</b>",
        )
        assert say(service, **known, verdict="true", author="Ben")[0] == 201
        assert told(service, "/api/alerts")["open"][0]["verdict"]["author"] == "Ben"
        assert say(service, alert_id="none")[0] == 404
        for wrong in (
            {"verdict": "perhaps"},
            {"author": " "},
            {"author": "a" * 201},
            {"note": "n" * 4001},
            {"more": "x"},
        ):
            status, answer = say(service, **known, **wrong)
            assert status == 400, wrong
            assert answer["error"]
        assert say(service, **known, note="n" * 40_000)[0] == 413
        status, _ = service.request(
            "POST", "/api/verdicts", b"no json", **{"Content-Type": "application/json"}
        )
        assert status == 400
        assert service.figure('seqdetect_alerts_judged{verdict="true"}') == 1
        assert service.stop() == 0
    history = Verdicts(tmp_path / "verdicts.db").by_alert(alert["alert_id"])
    assert [(one.verdict, one.author, one.user_id) for one in history] == [
        ("benign", "Ana", HOSTILE[4]), ("true", "Ben", HOSTILE[4]),
    ]  # fmt: skip


def test_without_a_place_for_verdicts_none_are_taken(tmp_path):
    with Service(tmp_path) as service:
        (alert,) = attacked(service, ["odd"])
        status, answer = say(service, alert_id=alert["alert_id"])
        assert (status, "feedback.path" in answer["error"]) == (503, True)
        assert service.stop() == 0


def test_the_page_can_be_left_out_and_figures_stay(tmp_path):
    with Service(tmp_path, page={"enabled": False}) as service:
        assert service.request("GET", "/")[0] == 404
        assert service.request("GET", "/api/alerts")[0] == 404
        assert service.request("GET", "/healthz") == (200, "ok\n")
        assert service.stop() == 0


def test_the_token_for_events_is_that_of_the_page_and_figures_need_none(tmp_path):
    with Service(tmp_path, http={"port": 0, "token_env": "T"}).start(T="hunter2") as service:
        given = {"Authorization": "Basic " + base64.b64encode(b"me:hunter2").decode()}
        for path in ("/", "/page/main.js", "/api/alerts", "/api/health"):
            assert service.request("GET", path)[0] == 401
            assert service.request("GET", path, **given)[0] == 200
        assert service.request("GET", "/metrics")[0] == 200
        assert service.request("GET", "/healthz")[0] == 200
        assert service.stop() == 0
    assert "hunter2" not in service.log()


def test_a_page_beside_another_input_knows_open_alerts_after_a_restart(tmp_path):
    file = tmp_path / "events.jsonl"
    file.write_bytes(lines([*calm(0), event(1, "odd", LOUD), *calm(40)]))
    settings = {"input": {"file": {"path": "events.jsonl"}}}
    with Service(tmp_path, **settings) as service:
        until(lambda: told(service, "/api/alerts")["open"], "the alert")
        assert service.stop() == 0
    with Service(tmp_path, **settings) as service:
        (alert,) = told(service, "/api/alerts")["open"]
        assert alert["user_id"] == "odd"
        assert told(service, f"/{alert['timeline']}")["watched"] is False
        assert service.stop() == 0


def test_health_says_what_came_and_how_fast(tmp_path):
    with Service(tmp_path) as service:
        service.post([*calm(0), event(1, "bad", -1), *calm(40)])
        service.reads(41)
        health = told(service, "/api/health")
        assert health["ok"] is True
        assert (health["read"], health["late"], health["rejected"]) == (41, 0, {"negative_tokens": 1})
        assert health["lag_s"] > 0
        assert health["users"] == {"tokens": 20}
        assert service.stop() == 0


def test_the_rate_is_that_of_the_last_half_minute_or_since_somebody_looked():
    now, registry = 0.0, CollectorRegistry()
    read = Gauge("seqdetect_events_read_total", "", registry=registry)
    vitals = Vitals(registry, Health(60.0), lambda: now)
    assert vitals.tell()["events_per_s"] is None
    for now in (5.0, 10.0, 40.0):
        read.set(100 * now)
        assert vitals.tell()["events_per_s"] == 100
    now = 80.0  # nobody has looked for longer than the rate is for
    assert vitals.tell()["events_per_s"] == 0
    health = Health(60.0)
    health.stopping = True
    assert Vitals(registry, health).tell()["state"] == "stopping"


@given(st.text())
def test_any_name_stands_in_an_address(name):
    name = name.encode("utf-8", "ignore").decode()
    assert answers.unnamed(answers.named(name)) == name
    assert answers.named(name).isascii()
    assert "/" not in answers.named(name)


@pytest.mark.parametrize("wrong", ["!", "a", "gA", "YQ==x"])
def test_what_is_no_name_is_nobody(wrong):
    with pytest.raises(LookupError):
        answers.unnamed(wrong)


@pytest.mark.parametrize(
    ("told", "sentence"),
    [
        (("requests", 900.0, 12.0), "900 requests in 10 s, usually 12 (75 times as much)"),
        (("requests", 1.0, 1.3), "1 request in 10 s, usually 1.3"),
        (("addresses", 3.0, 1.0), "3 addresses, usually 1 (3 times as much)"),
        (("errors", 0.63, 0.02), "63% of requests failed, usually 2% (32 times as much)"),
        (("latency", 4900.0, 1047.0), "4.9 s until an answer, usually 1.0 s (4.7 times as much)"),
        (("gap", 86_400_000.0, 120_000.0), "24 h of silence before, usually 2 min (720 times as much)"),
        (("gap_dispersion", 0.04, 0.5), "unevenness of pauses 0.04, usually 0.5"),
        (("something_new", 3.0, 1.0), "3 something_new, usually 1"),
        (("new_addresses", 5.0, 0.0), "5 addresses never seen before, usually 0"),
        (("requests", 5.0, -0.1), "5 requests in 10 s, usually 0"),
    ],
)
def test_causes_are_sentences(told, sentence):
    name, value, expected = told
    assert words.cause({"name": name, "value": value, "expected": expected}, 10.0) == sentence


def test_values_beyond_all_bounds_are_still_words():
    assert words.amount(math.inf) == "inf"
    assert words.cause({"name": "requests", "value": 7.0}, 10.0) == "7 requests in 10 s"


def test_a_store_of_verdicts_that_breaks_hides_no_alert(tmp_path) -> None:
    store = tmp_path / "verdicts.db"
    judgements = Judgements(Verdicts(store), Board(1, 1))
    assert judgements.known() == {}
    store.write_bytes(b"no store of anything")
    judgements._read_at = -math.inf
    assert judgements.known() == {}
