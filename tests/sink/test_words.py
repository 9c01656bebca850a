"""Alerts in words."""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from changes import change
from seqdetect.sink import words


def test_an_alert_of_a_user():
    assert words.title(change()) == "Critical flood: user u-1, requests 900 (expected 12)"
    assert words.description(change("resolve", into="77")).splitlines() == [
        "since 2026-03-02T10:00:00Z until 2026-03-02T10:05:00Z",
        "score 5.25, threshold 4.50 (false-alert budget: 1 per user-week)",
        "requests 900 (expected 12); addresses 4 (expected 1)",
        "8.40 USD so far, 60.50 USD per hour, 31% of all tokens",
        "goes on as alert 77",
        "runbook: https://runbooks.example/flood.md",
    ]


def test_what_is_not_known_is_not_told():
    bare = change(
        top_features=[{"name": "requests", "value": 3.0}],
        cost_usd=None,
        impact={"cost_per_hour_usd": None, "traffic_share": None, "slo_burn": None},
        threshold=None,
        runbook_url=None,
    )
    assert words.description(bare) == "since 2026-03-02T10:00:00Z\nrequests 3"
    assert words.title(bare | {"top_features": []}) == "Critical flood: user u-1"


def test_alerts_of_many():
    evidence = [
        {"name": "networks_per_user", "value": 14.2, "usual": 1.1, "points_to": "attack"},
        {"name": "calendar", "value": "none\nplanned", "usual": None, "points_to": None},
    ]
    many = change(user_id="*", users=31, kind="botnet", triage={"verdict": "attack", "evidence": evidence})
    assert words.title(many).startswith("Critical botnet: 31 users, ")
    assert words.evidence(many) == [
        "triage: attack",
        "- networks_per_user 14.2, usually 1.1: points to attack",
        "- calendar none planned, usually unknown",
    ]
    overflow = change(user_id="*", users=0, kind="overflow", left_out=320, top_features=[])
    assert words.title(overflow) == "Critical overflow: alerts left out by the daily cap: 320"


def test_which_state_and_which_model():
    assert words.title(change("resolve")).startswith("Resolved: Critical flood")
    assert words.title(change(shadow=True)).startswith("Shadow: Critical flood")
    assert "client_ip 10.0.0.1" in words.title(change(key="client_ip", user_id="10.0.0.1"))


@given(st.text(max_size=300))
def test_no_user_id_breaks_out_of_its_line(user: str):
    told = words.title(change(user_id=user))
    assert not any(unicodedata.category(one)[0] == "C" for one in told)
    assert len(told) < 120
    assert words.one_line("a\u202eb\r\n\u2028c\x00d") == "a b c d"


def test_no_user_id_is_markup():
    assert words.unmarked("<!channel> <b>&lt;") == "‹!channel› ‹b›＆lt;"


@given(st.text(max_size=50), st.integers(0, 40))
def test_nothing_is_longer_than_it_may_be(text: str, most: int):
    assert len(words.cut(text, most)) <= most
    assert words.cut(text, 50) == text


def test_a_cut_falls_between_words():
    assert words.cut("one two three", 12) == "one two…"
    assert words.cut("x" * 20, 5) == "xxxx…"
