"""One alert per user and episode: opened, updated when it gets worse, resolved when it is quiet."""

from __future__ import annotations

import json

import numpy as np
import pytest

from seqdetect.alert.lifecycle import AlertBook
from seqdetect.alert.policy import Escalate, Policy
from seqdetect.alert.prices import Price, Prices
from seqdetect.bundle.load import load
from seqdetect.score.attribution import Cause
from seqdetect.score.engine import Scored
from seqdetect.sink.jsonl import JsonlSink

SECOND = 1_000_000
CAUSE = [Cause("requests", 132.0, 4.0, 2.5)]


def scored(
    *rows: tuple[str, int, int, float], kinds: tuple[str, ...] = (), causes: list[Cause] = CAUSE
) -> Scored:
    names = sorted({row[0] for row in rows})
    level = np.array([row[2] for row in rows], np.int8)
    return Scored(
        np.array([names.index(row[0]) for row in rows], np.int32),
        names,
        np.array([row[1] * SECOND for row in rows]),
        np.array([row[3] for row in rows], np.float32),
        level,
        np.full((len(rows), 2), 100),
        {i: causes for i, value in enumerate(level) if value},
        dict(enumerate(kinds)),
    )


@pytest.fixture
def book(bundle_path):
    return AlertBook(load(bundle_path).metadata, Prices(Price(2.0, 10.0)))


def test_open_update_resolve(book):
    (opened,) = book.push(scored(("a", 1000, 1, 3.0), ("b", 1000, 0, 0.1)), None)
    assert (opened["change"], opened["severity"], opened["start"]) == (
        "open",
        "warning",
        "1970-01-01T00:16:30Z",
    )
    assert opened["end"] is None
    assert opened["top_features"] == [
        {"name": "requests", "value": 132.0, "expected": 4.0, "contribution": 2.5}
    ]
    assert book.push(scored(("a", 1010, 1, 3.1)), None) == []
    (worse,) = book.push(scored(("a", 1020, 2, 5.0)), 1020 * SECOND)
    assert (worse["change"], worse["severity"], worse["tokens"]) == ("update", "critical", 600)
    assert worse["alert_id"] == opened["alert_id"]
    assert book.push(scored(("b", 1500, 0, 0.1)), 1620 * SECOND) == []
    (resolved,) = book.push(scored(("b", 1630, 0, 0.1)), 1630 * SECOND)
    assert (resolved["change"], resolved["end"]) == ("resolve", "1970-01-01T00:17:00Z")
    assert resolved["cost_usd"] == pytest.approx(3 * (100 * 2 + 100 * 10) / 1e6)
    assert not book.open


def test_an_episode_after_the_cooldown_is_another_alert(book):
    (first,) = book.push(scored(("a", 1000, 1, 3.0)), None)
    changes = book.push(scored(("a", 6000, 1, 3.0)), None)
    assert [change["change"] for change in changes] == ["resolve", "open"]
    assert changes[1]["alert_id"] != first["alert_id"]
    assert changes[1]["reopened"] == 0


def test_the_same_stream_gives_the_same_ids(bundle_path, book):
    again = AlertBook(load(bundle_path).metadata)
    rows = scored(("a", 1000, 2, 9.0), ("b", 1010, 1, 3.0))
    ids = [change["alert_id"] for change in book.push(rows, None)]
    assert ids == [change["alert_id"] for change in again.push(rows, None)]
    assert len(set(ids)) == 2


def test_jsonl_holds_one_line_per_change(book, tmp_path):
    sink = JsonlSink(tmp_path / "alerts.jsonl")
    sink.send(book.push(scored(("ä", 1000, 2, 9.0)), None))
    sink.close()
    (line,) = (tmp_path / "alerts.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(line)["user_id"] == "ä"


def test_many_users_at_once_are_looked_through_once_per_tick(book, monkeypatch):
    looked = []
    monkeypatch.setattr(AlertBook, "_resolve_before", lambda self, now: looked.append(now) or [])
    book.push(scored(*[(f"u{i}", 1000 + 10 * (i % 2), 1, 3.0) for i in range(50)]), None)
    assert looked == [1000 * SECOND, 1010 * SECOND]


def test_the_kind_is_that_of_the_highest_step_so_far(bundle_path):
    book = AlertBook(load(bundle_path).metadata, runbooks="https://wiki/runbooks")
    (opened,) = book.push(scored(("a", 1000, 1, 3.0), kinds=("unknown",)), None)
    assert (opened["kind"], opened["runbook_url"]) == ("unknown", "https://wiki/runbooks/unknown.md")
    assert book.push(scored(("a", 1010, 1, 2.9), kinds=("drip",)), None) == []
    (named,) = book.push(scored(("a", 1020, 1, 4.0), kinds=("our own kind",)), None)
    assert (named["change"], named["kind"], named["severity"]) == ("update", "our own kind", "warning")
    assert named["runbook_url"] == "https://wiki/runbooks/our%20own%20kind.md"
    assert book.push(scored(("a", 1030, 1, 3.9), kinds=("unknown",)), None) == []
    assert book.push(scored(("a", 1040, 1, 4.5), kinds=("our own kind",)), None) == []
    (worse,) = book.push(scored(("a", 1050, 2, 6.0), kinds=("flood",)), None)
    assert (worse["kind"], worse["severity"]) == ("flood", "critical")
    (resolved,) = book.push(scored(("b", 3000, 0, 0.1)), 3000 * SECOND)
    assert (resolved["change"], resolved["kind"]) == ("resolve", "flood")


def test_the_time_scale_of_a_cause_is_told_where_it_is_known(book):
    causes = [Cause("requests", 132.0, 4.0, 2.5, 600.0)]
    (opened,) = book.push(scored(("a", 1000, 1, 3.0), causes=causes), None)
    assert opened["top_features"] == [
        {"name": "requests", "value": 132.0, "expected": 4.0, "contribution": 2.5, "scale_s": 600.0}
    ]


def test_a_step_a_little_below_the_threshold_holds_an_open_alert_open(bundle_path):
    metadata = load(bundle_path).metadata
    low = metadata.thresholds["warning"].value - 0.4
    below = metadata.thresholds["warning"].value - 0.6
    for score, hysteresis, changes in ((low, 0.5, []), (below, 0.5, ["resolve"]), (low, 0.3, ["resolve"])):
        book = AlertBook(metadata, policy=Policy(hysteresis=hysteresis))
        book.push(scored(("a", 1000, 1, 9.0)), None)
        told = book.push(scored(("a", 1500, 0, score), ("b", 1700, 0, score)), 1700 * SECOND)
        assert [one["change"] for one in told] == changes
        assert set(book.open) == (set() if changes else {"a"})


def test_what_holds_an_alert_open_neither_ends_it_nor_begins_one(bundle_path):
    metadata = load(bundle_path).metadata
    low = metadata.thresholds["warning"].value - 0.1
    book = AlertBook(metadata, Prices(Price(2.0, 10.0)))
    assert book.push(scored(("a", 1000, 0, low)), None) == []
    book.push(scored(("a", 1010, 1, 9.0), ("a", 1400, 0, low)), None)
    assert book.push(scored(("b", 2000, 0, 0.0)), 2000 * SECOND) == []
    (resolved,) = book.push(scored(("b", 2020, 0, 0.0)), 2020 * SECOND)
    assert (resolved["at"], resolved["end"]) == ("1970-01-01T00:33:30Z", "1970-01-01T00:16:50Z")
    assert resolved["tokens"] == 400


def test_with_thresholds_near_zero_an_alert_still_ends(bundle_path):
    book = AlertBook(load(bundle_path).metadata, thresholds={"warning": 0.4, "critical": 2.0})
    book.push(scored(("a", 1000, 1, 0.5)), None)
    changes = book.push(
        scored(*[("a", 1000 + 60 * minute, 0, 0.1) for minute in range(1, 20)]), 2200 * SECOND
    )
    assert [change["change"] for change in changes] == ["resolve"]


def test_who_is_hot_again_soon_has_the_same_alert_again(book):
    (first,) = book.push(scored(("a", 1000, 2, 9.0), kinds=("flood",)), None)
    (resolved,) = book.push(scored(("b", 2000, 0, 0.0)), 2000 * SECOND)
    (again,) = book.push(scored(("a", 5200, 1, 3.0), kinds=("drip",)), None)
    for name in ("alert_id", "start"):
        assert first[name] == resolved[name] == again[name]
    assert [one["reopened"] for one in (first, resolved, again)] == [0, 0, 1]
    assert (again["change"], again["end"], again["tokens"]) == ("open", None, 400)
    assert (again["severity"], again["kind"]) == ("critical", "flood")
    assert again["teams"] == ["sre"]
    once_more = book.push(scored(("a", 9300, 1, 3.0)), None)
    assert [(one["change"], one["reopened"]) for one in once_more] == [("resolve", 1), ("open", 2)]


def test_the_cooldown_ends(book):
    book.push(scored(("a", 1000, 1, 3.0)), None)
    (resolved,) = book.push(scored(), 3000 * SECOND)
    assert (
        resolved["at"] == "1970-01-01T00:26:50Z"
    )  # the first tick with more than ten quiet minutes before it
    last = 1610 + 3600
    (same,) = book.push(scored(("a", last, 1, 3.0)), None)
    assert same["alert_id"] == resolved["alert_id"]
    (_, other) = book.push(scored(("a", last + 610 + 3610, 1, 3.0)), None)
    assert (other["change"], other["reopened"]) == ("open", 0)
    assert other["alert_id"] != resolved["alert_id"]


def test_kinds_go_to_their_teams_and_a_team_is_not_left_with_an_alert_it_no_longer_sees(book):
    (opened,) = book.push(scored(("a", 1000, 1, 3.0), kinds=("takeover",)), None)
    (moved,) = book.push(scored(("a", 1010, 1, 4.0), kinds=("wallet",)), None)
    assert (opened["teams"], moved["teams"]) == (["security"], ["sre", "security"])
    (resolved,) = book.push(scored(), 3000 * SECOND)
    assert resolved["teams"] == ["sre", "security"]


def test_the_impact_makes_a_warning_critical_which_then_stays_so(bundle_path):
    policy = Policy(escalate=Escalate(cost_per_hour_usd=20.0))
    book = AlertBook(load(bundle_path).metadata, Prices(Price(2_000.0, 10_000.0)), policy=policy)
    (opened,) = book.push(scored(("a", 1000, 1, 3.0), kinds=("flood",)), None)
    assert (opened["severity"], opened["impact"]["cost_per_hour_usd"]) == ("warning", 7.2)
    assert book.push(scored(("a", 1010, 1, 3.0)), None) == []
    (worse,) = book.push(scored(("a", 1020, 1, 3.0)), None)
    assert (worse["change"], worse["severity"], worse["tier"]) == ("update", "critical", "warning")
    assert (worse["impact"]["cost_per_hour_usd"], worse["cost_usd"]) == (21.6, 3.6)
    assert worse["threshold"] == book.metadata.thresholds["warning"].value
    assert book.push(scored(("a", 1500, 1, 3.0)), None) == []  # still critical, and that is known
    (resolved,) = book.push(scored(), 3000 * SECOND)
    assert resolved["severity"] == "critical"


def test_what_hurts_only_who_pays_is_a_warning_while_it_is_cheap(bundle_path):
    policy = Policy(demote_below_usd_per_hour=20.0)
    changes = {}
    for kind in ("wallet", "takeover"):
        book = AlertBook(load(bundle_path).metadata, Prices(Price(2_000.0, 10_000.0)), policy=policy)
        steps = [("a", 1000 + 10 * tick, 2, 9.0) for tick in range(3)]
        changes[kind] = book.push(scored(*steps, kinds=(kind,) * 3), None)
    assert [(one["severity"], one["tier"]) for one in changes["wallet"]] == [
        ("warning", "critical"),
        ("critical", "critical"),
    ]
    assert [one["severity"] for one in changes["takeover"]] == ["critical"]


def one_by_one(count: int, level: int, start: int = 1000) -> Scored:
    """Steps of users who come too slowly to be a surge."""
    return scored(
        *[(f"{level}-{start}-{i:03d}", start + 400 * i, level, 3.0 + 5 * level) for i in range(count)]
    )


def capped(bundle_path, **per_day):
    return AlertBook(load(bundle_path).metadata, policy=Policy(cap_per_day=per_day))


def test_beyond_the_days_allowance_alerts_are_muted_and_one_says_how_many(bundle_path):
    changes = capped(bundle_path, warning=3).push(one_by_one(12, 1), None)
    own = [one for one in changes if one["user_id"] != "*"]
    assert [one["muted"] for one in own if one["change"] == "open"] == [False] * 3 + [True] * 9
    assert {one["alert_id"]: one["muted"] for one in own if one["change"] == "open"}.items() >= {
        one["alert_id"]: one["muted"] for one in own if one["change"] == "resolve"
    }.items()
    over = [one for one in changes if one["user_id"] == "*"]
    assert [(one["change"], one["left_out"]) for one in over] == [
        ("open", 1), ("update", 2), ("update", 4), ("update", 8)
    ]  # fmt: skip
    assert len({one["alert_id"] for one in over}) == 1
    assert {(one["kind"], one["severity"], one["muted"]) for one in over} == {("overflow", "critical", False)}
    assert over[0]["teams"] == ["sre"]


def test_a_flood_of_warnings_mutes_no_critical_alert(bundle_path):
    book = capped(bundle_path, warning=2, critical=2)
    assert sum(one["muted"] for one in book.push(one_by_one(9, 1), None) if one["change"] == "open") == 7
    changes = book.push(one_by_one(3, 2, start=20_000), None)
    assert [one["muted"] for one in changes if one["change"] == "open"] == [False, False, True]


def test_a_muted_warning_that_becomes_critical_is_opened_for_people(bundle_path):
    book = capped(bundle_path, warning=0, critical=1)
    (opened, _) = book.push(scored(("a", 1000, 1, 3.0)), None)
    (told,) = book.push(scored(("a", 1010, 2, 9.0)), None)
    assert (opened["muted"], told["change"], told["muted"]) == (True, "open", False)
    assert (told["alert_id"], told["severity"]) == (opened["alert_id"], "critical")
    book.push(scored(("b", 1020, 1, 3.0)), None)
    (kept,) = book.push(scored(("b", 1030, 2, 9.0)), None)
    assert (kept["change"], kept["muted"], kept["severity"]) == ("update", True, "critical")


def test_the_next_day_begins_anew(bundle_path):
    day = 86_400
    book = capped(bundle_path, warning=1)
    changes = book.push(one_by_one(3, 1, start=day - 1500), None)
    opened = [one for one in changes if one["kind"] == "overflow"]
    (done,) = [one for one in book.push(scored(), (day + 10) * SECOND) if one["kind"] == "overflow"]
    assert (done["change"], done["left_out"], done["at"]) == ("resolve", 2, "1970-01-02T00:00:10Z")
    assert done["alert_id"] == opened[0]["alert_id"]
    later = book.push(one_by_one(2, 1, start=day + 20_000), None)
    assert [one["muted"] for one in later if one["change"] == "open"] == [False, True, False]
    (again,) = [one for one in later if one["kind"] == "overflow"]
    assert (again["change"], again["left_out"]) == ("open", 1)
    assert again["alert_id"] != done["alert_id"]
    assert not [one for one in book.push(scored(), 100_000_000_000_000) if one["change"] == "open"]


def test_a_surge_is_never_muted(bundle_path):
    changes = capped(bundle_path, warning=0, critical=0).push(
        scored(*[(f"u{i}", 1000, 1, 3.0) for i in range(8)]), None
    )
    assert [(one["user_id"], one["muted"], one["kind"]) for one in changes] == [
        ("*", False, "benign_campaign")
    ]


def test_a_surge_that_comes_back_is_the_same_alert(book):
    def wave(start):
        return scored(*[(f"u{i}", start, 1, 3.0) for i in range(8)])

    (first,) = book.push(wave(1000), None)
    resolved, again = book.push(wave(3000), None)
    assert (resolved["change"], again["change"], again["reopened"]) == ("resolve", "open", 1)
    assert again["alert_id"] == first["alert_id"]
    assert again["tokens"] == 2 * first["tokens"]
    slow = [Cause("latency", 9_000.0, 800.0, 2.5)]
    _, other = book.push(scored(*[(f"u{i}", 5000, 1, 3.0) for i in range(8)], causes=slow), None)
    assert (other["kind"], other["reopened"]) == ("degradation", 0)
    assert other["alert_id"] != first["alert_id"]


def test_users_whom_a_surge_took_over_keep_their_alert(book):
    (own,) = book.push(scored(("u0", 1000, 1, 3.0)), None)
    over, surge = sorted(
        book.push(scored(*[(f"u{i}", 1010, 1, 3.0) for i in range(8)]), None), key=lambda one: one["users"]
    )
    assert (over["change"], over["into"], over["alert_id"]) == ("resolve", surge["alert_id"], own["alert_id"])
    _, again = book.push(scored(("u0", 3000, 1, 3.0)), None)
    assert (again["alert_id"], again["reopened"], again["into"]) == (own["alert_id"], 1, None)


def test_a_memory_of_before_there_was_a_cooldown_is_taken_up(book, bundle_path):
    (opened,) = book.push(scored(("a", 1000, 1, 3.0)), None)
    old = {name: book.memory()[name] for name in ("open", "surge")}
    new = (
        "tier",
        "held",
        "cost",
        "recent",
        "impact",
        "teams",
        "muted",
        "reopened",
        "reopened_at",
        "triage",
        "left_out",
    )
    for name in new:
        old["open"]["a"].pop(name)
    other = AlertBook(load(bundle_path).metadata)
    other.recall(old, np.zeros(1, np.int64))
    (resolved,) = other.push(scored(), 3000 * SECOND)
    assert (resolved["alert_id"], resolved["cost_usd"]) == (opened["alert_id"], None)
