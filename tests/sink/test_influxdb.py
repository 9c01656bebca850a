"""Points in a real InfluxDB 1.x, and what its second version would get."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import programs
from changes import change
from programs import Program
from receiver import receiver
from seqdetect.secret import Secret
from seqdetect.sink import RefusedError, UnavailableError
from seqdetect.sink.influxdb import InfluxDBSink, line
from seqdetect.sink.words import cut, one_line


@pytest.fixture(scope="module")
def influx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    with programs.influxd(tmp_path_factory.mktemp("influx")) as one:
        yield one


@pytest.fixture
def database(influx: Program, request: pytest.FixtureRequest) -> str:
    """A new one."""
    name = str(request.node.name)
    programs.create(influx, name)
    return name


def points(influx: Program, database: str, where: str = "") -> list[dict[str, Any]]:
    return programs.query(influx, database, f"SELECT * FROM llm_alert {where}")


def test_a_change_is_a_point_and_the_same_again_is_the_same_point(influx, database):
    sink = InfluxDBSink(influx.url, database)
    life = [change("open", teams=["sre", "security"]), change("update"), change("resolve", into="77")]
    sink.send(life)
    sink.send(life)
    sink.close()
    first, last, _ = sorted(points(influx, database), key=lambda one: str(one["state"]))
    assert first["time"].startswith("2026-03-02T10:00:20.")
    assert first | {"time": None} == {
        "time": None, "state": "open", "model": "users", "kind": "flood", "severity": "critical",
        "team": "security,sre", "alert_id": "5f2c3f0a9d1b7e44", "user_id": "u-1", "key": "user_id", "users": 1,
        "start": "2026-03-02T10:00:00Z", "end": None, "into": None, "tier": "critical", "score": 5.25,
        "threshold": 4.5, "cost_usd": 8.4, "cost_per_hour_usd": 60.5, "traffic_share": 0.31, "tokens": 1_250_000,
        "reopened": 0, "shadow": False, "muted": False, "top_feature": "requests",
        "bundle_version": "learned_evidence-0-abcdef",
    }  # fmt: skip
    assert (last["state"], last["end"], last["into"]) == ("resolve", "2026-03-02T10:05:00Z", "77")


def test_alerts_of_the_same_tick_and_tags_are_points_of_their_own(influx, database):
    sink = InfluxDBSink(influx.url, database)
    sink.send([change(alert_id=f"{one:016x}", user_id=f"u{one}") for one in range(500)])
    sink.close()
    assert len({one["user_id"] for one in points(influx, database)}) == 500


def test_users_make_no_series(influx, database):
    sink = InfluxDBSink(influx.url, database)
    sink.send([change(alert_id=f"{one:016x}", user_id=f"u{one}") for one in range(50)])
    sink.close()
    assert len(programs.query(influx, database, "SHOW SERIES")) == 1


HOSTILE = st.text(
    st.one_of(st.sampled_from('\\",= \n\r\t#{}\x00é🙂'), st.characters(exclude_categories=["Cs"]))
)


def test_whatever_users_are_called_is_read_back_as_it_was(influx, database):
    sink = InfluxDBSink(influx.url, database)
    names = iter(f"{one:016x}" for one in range(1_000_000))

    @settings(max_examples=150, deadline=None)
    @given(st.lists(st.tuples(HOSTILE, HOSTILE), min_size=1, max_size=20))
    def check(ids: list[tuple[str, str]]) -> None:
        sent = dict(zip(names, ids, strict=False))
        sink.send([change(alert_id=name, user_id=user, kind=kind) for name, (user, kind) in sent.items()])
        found = points(influx, database, f"WHERE alert_id =~ /^({'|'.join(sent)})$/")
        assert len(found) == len(sent)
        for point in found:
            user, kind = sent[point["alert_id"]]
            assert point["user_id"] == user.replace("\n", "\\n").replace("\r", "\\r")
            assert (point.get("kind") or "") == cut(one_line(kind), 128).replace("\\", "/")

    check()
    sink.close()
    assert {one["name"] for one in programs.query(influx, database, "SHOW MEASUREMENTS")} == {"llm_alert"}


def test_no_id_begins_a_line():
    hostile = change(user_id='x"\nllm_alert,kind=fake score=0 1\n', kind="a\nb", teams=["t\r\n"])
    assert "\n" not in line(hostile)
    assert "\r" not in line(hostile)


def test_what_is_not_known_is_no_field():
    bare = line(change(cost_usd=None, threshold=None, score=float("nan"), top_features=[], teams=[], kind=""))
    for absent in ("cost_usd", "threshold", "score", "top_feature", "slo_burn", "team", "kind"):
        assert f",{absent}=" not in bare
        assert f" {absent}=" not in bare


def test_a_database_that_is_not_there_is_refused_and_said(influx):
    sink = InfluxDBSink(influx.url, "nowhere")
    with pytest.raises(RefusedError, match="database not found"):
        sink.send([change()])
    sink.close()


@pytest.fixture
def asked():
    """What a far side is sent: where to and with which login, for settings."""

    def found(**how: Any) -> tuple[str, dict[str, list[str]], str | None]:
        with receiver(lambda request: (204, {}, b"")) as server:
            sink = InfluxDBSink(server.url, **how)
            sink.send([change()])
            sink.send([])
            sink.close()
        (request,) = server.requests
        assert request.body == line(change()).encode() + b"\n"
        where = urlsplit(request.path)
        return where.path, parse_qs(where.query), request.headers.get("authorization")

    return found


def test_both_versions_are_written_to_as_they_want_it(asked):
    assert asked(database="d b", retention_policy="a") == (
        "/write",
        {"db": ["d b"], "precision": ["ns"], "rp": ["a"]},
        None,
    )
    basic = base64.b64encode(b"writer:pa:ss").decode()
    assert asked(database="d", user="writer", password=Secret("pa:ss"))[2] == f"Basic {basic}"
    assert asked(bucket="b&c", org="o", token=Secret("t0k")) == (
        "/api/v2/write",
        {"bucket": ["b&c"], "org": ["o"], "precision": ["ns"]},
        "Token t0k",
    )


@pytest.mark.parametrize(
    "wrong",
    [{}, {"database": "d", "bucket": "b", "org": "o"}, {"bucket": "b"}, {"database": "d", "user": "u"},
     {"database": "d", "org": "o"}],
)  # fmt: skip
def test_settings_that_do_not_go_together_are_said(wrong: dict[str, str]):
    with pytest.raises(ValueError, match=r"database|org|password"):
        InfluxDBSink("http://127.0.0.1:9", **wrong)


def test_an_answer_that_asks_for_patience_is_tried_again_and_shows_no_token():
    with receiver(lambda request: (429, {"Retry-After": "3"}, b"t0ken-t0ken")) as server:
        sink = InfluxDBSink(server.url, bucket="b", org="o", token=Secret("t0ken-t0ken"))
        with pytest.raises(UnavailableError) as later:
            sink.send([change()])
        sink.close()
    assert later.value.after_s == 3
    assert "t0ken-t0ken" not in str(later.value)
