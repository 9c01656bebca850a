"""One alert per user and episode: opened, updated when it gets worse, resolved when it is quiet."""

from __future__ import annotations

import json

import numpy as np
import pytest

from seqdetect.alert.lifecycle import AlertBook
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
