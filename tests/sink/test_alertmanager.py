"""Alerts in a real Alertmanager: they fire, go on firing, change their labels, end, and reach a pager from there."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import programs
from changes import change
from far_side import Alertmanager, FarSide, Opsgenie, PagerDuty
from programs import Program, until
from receiver import receiver
from seqdetect.secret import Secret
from seqdetect.sink import RefusedError, UnavailableError
from seqdetect.sink.alertmanager import LASTS_RESENDS, AlertmanagerSink, Naming, annotated, firing

NOBODY = "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n"


@pytest.fixture(scope="module")
def manager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    with programs.alertmanager(tmp_path_factory.mktemp("manager"), NOBODY) as one:
        yield one


@pytest.fixture
def fires(manager: Program, request: pytest.FixtureRequest) -> Callable[[], list[dict[str, str]]]:
    """The labels of this test's alerts that fire."""

    def found() -> list[dict[str, str]]:
        alerts = manager.get("/api/v2/alerts", filter=f'alert_id="{request.node.name}"')
        return [alert["labels"] for alert in alerts]

    return found


def test_an_alert_fires_and_ends(manager, fires, request):
    sink = AlertmanagerSink([manager.url + "/"], page_url="https://scorer.example/", labels={"cluster": "eu"})
    sink.send([change(alert_id=request.node.name)])
    (alert,) = manager.get("/api/v2/alerts", filter=f'alert_id="{request.node.name}"')
    assert alert["labels"] == {
        "alertname": "LLMUsageAnomaly",
        "alert_id": request.node.name,
        "cluster": "eu",
        "key": "user_id",
        "kind": "flood",
        "model": "users",
        "scope": "user",
        "severity": "critical",
        "team": "sre",
    }
    assert alert["annotations"]["summary"] == "Critical flood: user u-1, requests 900 (expected 12)"
    assert alert["annotations"]["runbook_url"] == "https://runbooks.example/flood.md"
    assert alert["annotations"]["cost_usd"] == "8.4"
    assert alert["generatorURL"] == "https://scorer.example/"
    assert alert["startsAt"] == "2026-03-02T10:00:00.000Z"
    sink.send([change("resolve", alert_id=request.node.name)])
    assert fires() == []
    # and comes back within the same episode
    sink.send([change("open", alert_id=request.node.name, reopened=1)])
    assert len(fires()) == 1
    sink.close()


def test_what_is_sent_again_goes_on_firing_and_what_is_not_ends_by_itself(manager, fires, request):
    one = change(alert_id=request.node.name)
    sink = AlertmanagerSink([manager.url], resend_s=0.5)
    sink.send([one])
    alone_until = time.time() + 0.5 * LASTS_RESENDS

    def outlived() -> bool:
        sink.refresh([one | {"change": "update"}])
        return time.time() > alone_until + 0.1 and bool(fires())

    until(outlived, "the alert to fire for longer than it lasts by itself")
    until(lambda: not fires(), "the alert of a scorer that is gone to end")
    sink.close()


def test_labels_that_change_leave_no_alert_behind(manager, fires, request):
    sink = AlertmanagerSink([manager.url])
    name = request.node.name

    def told(what: str, **more: Any) -> set[tuple[str, str, str]]:
        sink.send([change(what, alert_id=name, **more)])
        return {(labels["kind"], labels["severity"], labels["team"]) for labels in fires()}

    assert told("open", severity="warning") == {("flood", "warning", "sre")}
    assert told("update") == {("flood", "critical", "sre")}
    both = ["security", "sre"]
    assert told("update", kind="scrape", teams=both) == {
        ("scrape", "critical", "security"),
        ("scrape", "critical", "sre"),
    }
    assert told("resolve", kind="scrape", teams=both) == set()
    sink.close()


def test_a_scorer_that_starts_again_tells_what_is_open_and_what_has_ended(manager, fires, request):
    name = request.node.name
    before = AlertmanagerSink([manager.url])
    before.send([change(alert_id=name)])
    after = AlertmanagerSink([manager.url])
    after.refresh([change("update", alert_id=name)])
    assert len(fires()) == 1
    again = AlertmanagerSink([manager.url])
    again.send([change("resolve", alert_id=name)])
    assert fires() == []


def test_labels_forgotten_by_a_restart_end_when_they_have_lasted(manager, fires, request):
    name = request.node.name
    before = AlertmanagerSink([manager.url], resend_s=0.5)
    before.send([change(alert_id=name, severity="warning")])
    after = AlertmanagerSink([manager.url])
    after.send([change("update", alert_id=name)])
    until(lambda: [labels["severity"] for labels in fires()] == ["critical"], "the warning to end")


def test_events_from_the_future_fire_and_end_all_the_same(manager, fires, request):
    sink = AlertmanagerSink([manager.url])
    ahead = {"alert_id": request.node.name, "start": "2099-01-01T00:00:00Z", "end": "2099-01-01T00:05:00Z"}
    sink.send([change(**ahead)])
    assert len(fires()) == 1
    sink.send([change("resolve", **ahead)])
    assert fires() == []


def test_what_did_not_arrive_is_not_taken_for_known():
    far = Alertmanager()
    with receiver(far) as server:
        sink = AlertmanagerSink([server.url])
        sink.send([change(severity="warning")])
        server.answers.append((503, {}, b""))
        with pytest.raises(UnavailableError):
            sink.send([change("update")])
        sink.send([change("update")])
        assert [json.loads(key)["severity"] for key in far.open] == ["critical"]
        sink.close()


def test_one_of_several_is_enough_and_the_others_catch_up(caplog):
    near, other = Alertmanager(), Alertmanager()
    with receiver(near) as first, receiver(other) as second:
        sink = AlertmanagerSink([first.url, second.url], token=Secret("t0ken-t0ken"))
        second.down()
        sink.send([change()])
        assert (len(near.open), len(other.open)) == (1, 0)
        assert "one Alertmanager of several" in caplog.text
        second.up()
        sink.refresh([change("update")])
        assert (len(near.open), len(other.open)) == (1, 1)
        assert {one.headers["authorization"] for one in second.requests} == {"Bearer t0ken-t0ken"}
        first.down()
        second.answers.append((400, {}, b"no"))
        with pytest.raises(UnavailableError):
            sink.send([change("update")])
        sink.close()


def test_what_none_of_them_will_take_is_refused():
    with receiver(lambda request: (400, {}, b"bad label")) as server:
        sink = AlertmanagerSink([server.url])
        with pytest.raises(RefusedError, match="bad label"):
            sink.send([change()])


def test_many_are_sent_in_several_requests():
    far = Alertmanager()
    with receiver(far) as server:
        sink = AlertmanagerSink([server.url])
        sink.refresh([change("update", alert_id=str(one)) for one in range(1100)])
        assert len(far.open) == 1100
        assert len(server.requests) == 3
        sink.close()


def test_no_template_shows_markup_of_a_users_making():
    told = annotated(change(user_id="<!channel>&"))
    assert not set("<>&") & set(told["summary"] + told["description"])
    assert told["user_id"] == "<!channel>&"


def test_a_user_is_a_label_only_where_it_is_asked_for():
    assert "user_id" not in Naming().labels(change())[0]
    assert Naming(fields=["user_id"]).labels(change())[0]["user_id"] == "u-1"
    assert Naming().labels(change(user_id="*", kind="botnet"))[0]["scope"] == "population"
    assert Naming().labels(change(user_id="*", kind="overflow"))[0]["scope"] == "overflow"
    assert Naming().labels(change(shadow=True, teams=[]))[0] == {
        "alertname": "LLMUsageAnomaly", "alert_id": "5f2c3f0a9d1b7e44", "scope": "user", "model": "users",
        "key": "user_id", "kind": "flood", "severity": "critical", "shadow": "true",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["alert_id", "kind", "a-b", "1a", ""])
def test_labels_of_ones_own_do_not_stand_in_the_way(name: str):
    with pytest.raises(ValueError, match="no name for a label"):
        AlertmanagerSink(["http://127.0.0.1:9"], labels={name: "x"})


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=2000), st.text(max_size=300), st.lists(st.text(max_size=100), max_size=5))
def test_nothing_that_users_choose_is_refused(manager: Program, user: str, kind: str, teams: list[str]):
    sink = AlertmanagerSink([manager.url], label_fields=["user_id", "kind"])
    hostile = change(user_id=user, kind=kind, teams=teams)
    sink.send([hostile, hostile | {"change": "resolve"}])
    sink.close()


PAGED = """
route:
  receiver: pagers
  group_by: [alert_id, team]
  group_wait: 50ms
  group_interval: 200ms
receivers:
  - name: pagers
    pagerduty_configs:
      - url: {pagerduty}/v2/enqueue
        routing_key: 0123456789abcdef0123456789abcdef
        severity: '{{{{ (index .Alerts 0).Labels.severity }}}}'
        description: '{{{{ (index .Alerts 0).Annotations.summary }}}}'
    opsgenie_configs:
      - api_url: {opsgenie}/
        api_key: some-key
        message: '{{{{ (index .Alerts 0).Annotations.summary }}}}'
        priority: '{{{{ if eq (index .Alerts 0).Labels.severity "critical" }}}}P1{{{{ else }}}}P3{{{{ end }}}}'
"""


def test_alertmanager_calls_the_pagers_once_and_lets_them_go(tmp_path: Path):
    pagerduty, opsgenie = PagerDuty(), Opsgenie()
    with receiver(pagerduty) as first, receiver(opsgenie) as second:
        config = PAGED.format(pagerduty=first.url, opsgenie=second.url)
        with programs.alertmanager(tmp_path, config) as manager:
            sink = AlertmanagerSink([manager.url])
            sink.send([change()])
            far: FarSide
            for far in (pagerduty, opsgenie):
                until(lambda far=far: far.open, "a pager to be called")
            ((_, [event]),) = pagerduty.open.items()
            assert event["payload"]["severity"] == "critical"
            assert event["payload"]["summary"].startswith("Critical flood: user u-1")
            ((_, [alert]),) = opsgenie.open.items()
            assert alert["priority"] == "P1"
            for _ in range(5):
                sink.refresh([change("update")])
                time.sleep(0.1)
            sink.send([change("resolve")])
            for far in (pagerduty, opsgenie):
                until(lambda far=far: not far.open, "the pager to be told of the end")
                assert [len(messages) for messages in far.closed.values()] == [1]
                assert not far.refused
            sink.close()


def test_seconds_are_told_to_the_millisecond():
    sent = firing(change(), {"alertname": "a"}, None, 1_772_445_700.1234, 240.0)
    assert (sent["startsAt"], sent["endsAt"]) == ("2026-03-02T10:00:00.000Z", "2026-03-02T10:05:40.123Z")
