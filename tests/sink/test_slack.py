"""Messages for a channel: within Slack's limits, and with no markup of a sender's making."""

from __future__ import annotations

import json
import re

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from changes import change
from chat import MESSAGE
from receiver import receiver
from seqdetect.secret import Secret
from seqdetect.sink.slack import SlackSink, message

PAGE = "https://scorer.example/"
HOSTILE = [
    "<!channel> <@U123> <https://evil.example|your bank>",
    "`<!here>` ```x``` *b* _i_ ~s~",
    "[click](https://evil.example) ![](https://evil.example/x.png) @all @here #general",
    "a\n# Heading\r\n> quote\u2028new\u202egnp.exe\x00\x1b[31m",
    "&lt;!channel&gt; &amp;",
    "www.evil.example http://evil.example",
    "x" * 10_000,
    "<" * 5000,
    "",
    "``",
]


def texts(made):
    return [made["text"], *(block["text"]["text"] for block in made["blocks"])]


def outside_code(text):
    """What a chat looks for markup in, without the links that are ours."""
    ours = (f"<{PAGE}|Alerts now>", "<https://runbooks.example/flood.md|Runbook>")
    rest = re.sub(r"`[^`\n]*`", "", text)
    for link in ours:
        rest = rest.replace(link, "")
    return rest


def harmless(made):
    jsonschema.validate(made, MESSAGE)
    for text in texts(made):
        assert not re.search(r"[\x00-\x09\x0b-\x1f\u2028\u2029\u202a-\u202e]", text)
        assert text.count("`") % 2 == 0
        rest = outside_code(text)
        # the head is bold in the fallback text, where there are no blocks
        rest = re.sub(r"^\*[^*\n]*\*$", "", rest, count=1, flags=re.MULTILINE)
        assert not re.search(r"[<>*~\[\]@#`]|://|www\.", rest, re.IGNORECASE), rest
        for entity in re.findall(r"&[^&;]{0,6};?", text):
            assert entity in ("&amp;", "&lt;", "&gt;")


def test_what_happened_is_said_in_words():
    made = message(change(), PAGE)
    harmless(made)
    head, who, why, links = (block["text"]["text"] for block in made["blocks"])
    assert head == "critical flood"
    assert who == "user `u-1`, since 2026-03-02T10:00:00Z"
    for words in (
        "requests 900 (expected 12)",
        "60.50 USD per hour",
        "31% of all tokens",
        "score 5.25, threshold 4.5, 1,250,000 tokens",
    ):
        assert words in why
    assert links == f"<https://runbooks.example/flood.md|Runbook> · <{PAGE}|Alerts now>"
    for text in (head, who, why, links):
        assert text in made["text"] or text == head  # for what knows no blocks
    assert made["text"].startswith("*critical flood*")


@pytest.mark.parametrize(
    ("told", "head"),
    [
        (change("update"), "Changed: critical flood"),
        (change("resolve"), "Resolved: critical flood"),
        (change("open", reopened=2, kind="agent_loop"), "critical agent loop, again"),
        (change("open", shadow=True, severity="warning"), "Shadow: warning flood"),
    ],
)
def test_the_head_says_what_it_is_about(told, head):
    made = message(told)
    harmless(made)
    assert made["blocks"][0]["text"]["text"] == head


def test_alerts_of_many_users_show_the_evidence_and_the_overflow_how_many():
    triage = {"verdict": "attack", "evidence": [
        {"name": "networks", "value": 3, "usual": 120.0, "points_to": "attack"},
        {"name": "user_agents", "value": HOSTILE[0], "usual": None, "points_to": None},
    ]}  # fmt: skip
    made = message(change(user_id="*", users=80, kind="botnet", triage=triage, runbook_url=None))
    harmless(made)
    assert "80 users, since" in made["text"]
    assert "triage: attack" in made["text"]
    assert "networks 3, usually 120: points to attack" in made["text"]
    over = message(change(user_id="*", kind="overflow", left_out=42))
    assert "42 alerts left out by the daily cap" in over["text"]
    assert "goes on as alert abc" in message(change("resolve", into="abc"))["text"]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_makes_no_links_calls_nobody_and_fits(name):
    harmless(message(change(user_id=name), PAGE))


@given(st.text(max_size=400), st.sampled_from(["open", "update", "resolve"]))
def test_no_name_at_all_does(name, what):
    made = message(change(what, user_id=name), PAGE)
    harmless(made)
    assert all(len(text.splitlines()) < 20 for text in texts(made))


@given(st.text(max_size=300))
def test_no_evidence_does(value):
    triage = {
        "verdict": "unclear",
        "evidence": [{"name": "agents", "value": value, "usual": 1, "points_to": None}],
    }
    harmless(message(change(user_id="*", triage=triage), PAGE))


def test_much_evidence_is_left_out_by_whole_lines():
    item = {"name": "n" * 190 + "<&>", "value": 1, "usual": 2, "points_to": "attack"}
    made = message(change(user_id="*", triage={"verdict": "attack", "evidence": [item] * 100}), PAGE)
    harmless(made)
    assert "Alerts now" in made["text"]


def test_addresses_cannot_end_their_link():
    made = message(change(runbook_url="https://w.example/a|b>c <d>&e"), "javascript:alert(1)")
    jsonschema.validate(made, MESSAGE)
    links = made["blocks"][-1]["text"]["text"]
    assert links == "<https://w.example/a%7Cb%3Ec%20%3Cd%3E&amp;e|Runbook>"


def test_the_webhooks_address_gets_one_message_per_change():
    with receiver() as far:
        sink = SlackSink(Secret(f"{far.url}/services/T/B/X"), page_url=PAGE)
        sink.send([change(what) for what in ("open", "resolve")])
        sink.close()
        assert [request.path for request in far.requests] == ["/services/T/B/X"] * 2
        assert [json.loads(request.body) for request in far.requests] == [
            message(change(what), PAGE) for what in ("open", "resolve")
        ]
