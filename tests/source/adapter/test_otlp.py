"""Traces as OpenTelemetry's own exporter sends them (``tests/golden/otlp``)."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from reading import GOLDEN, golden, read

BODIES: list[dict[str, Any]] = golden("otlp/traces.json")


def test_spans_of_requests_to_models_are_events_and_no_others():
    rows, tally = read("otlp", *BODIES)
    assert tally.line() == "events: 4 read, 0 rejected (), 0 late, 2 skipped"
    by_model = {row["model"]: row for row in rows}
    first = by_model["gpt-4o-mini-2024-07-18"]
    assert (first["user_id"], first["prompt_tokens"], first["completion_tokens"]) == ("alice", 21, 7)
    assert (first["status"], first["event_id"], first["endpoint"]) == (200, "chatcmpl-golden", "chat")
    span = BODIES[0]["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    assert first["timestamp"] == int(span["endTimeUnixNano"]) // 1_000
    assert 0 < first["latency_ms"] < 60_000
    assert by_model["limited"]["user_id"] == "alice"
    assert by_model["limited"]["status"] == 500  # error.type names the exception alone
    assert by_model["limited"]["prompt_tokens"] == 0


def test_old_names_and_users_of_spans_and_of_resources_are_found():
    rows, _ = read("otlp", *BODIES)
    old = next(row for row in rows if row["model"] == "old-names")
    assert (old["user_id"], old["prompt_tokens"], old["completion_tokens"]) == ("bob", 300, 40)
    assert (old["client_ip"], old["user_agent"]) == ("203.0.113.7", "golden/1")
    failed = next(row for row in rows if row["model"] == "m")
    assert (failed["user_id"], failed["status"]) == ("tenant-1", 500)


def test_the_golden_traces_hold_what_must_not_be_kept_and_the_events_do_not():
    text = (GOLDEN / "otlp" / "traces.json").read_text()
    assert "a prompt nobody may keep" in text
    assert "an answer nobody may keep" in text
    rows, tally = read("otlp", *BODIES)
    assert "nobody" not in json.dumps(rows) + str(tally)


def with_span(**changes: Any) -> dict[str, Any]:
    """The first body, its span changed: fields of the span, or attributes where they are named with dots."""
    body = copy.deepcopy(BODIES[0])
    span = body["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    for name, value in changes.items():
        if name in span:
            span[name] = value
        else:
            name = name.replace("__", ".")
            span["attributes"] = [one for one in span["attributes"] if one["key"] != name]
            if value is not None:
                span["attributes"].append({"key": name, "value": value})
    return body


@pytest.mark.parametrize(
    "count", [{"intValue": "21"}, {"intValue": 21}, {"doubleValue": 21.0}, {"doubleValue": 21}]
)
def test_whole_numbers_are_read_in_every_way_that_json_has_them(count):
    rows, tally = read("otlp", with_span(gen_ai__usage__input_tokens=count))
    assert [row["prompt_tokens"] for row in rows] == [21], tally


@pytest.mark.parametrize(
    ("body", "reason", "where"),
    [
        (with_span(gen_ai__usage__input_tokens={"stringValue": "secret"}), "malformed_line", "gen_ai.usage.input_tokens"),
        (with_span(gen_ai__usage__input_tokens={"intValue": "secret"}), "malformed_line", "gen_ai.usage.input_tokens"),
        (with_span(gen_ai__usage__input_tokens={"intValue": "-3"}), "negative_tokens", "gen_ai.usage.input_tokens"),
        (with_span(endTimeUnixNano="secret"), "malformed_line", "nanoseconds"),
        (with_span(endTimeUnixNano="0"), "missing_value", "endTimeUnixNano"),
        (with_span(attributes="secret"), "malformed_line", "$.attributes"),
        (b'{"resourceSpans": "secret"}', "malformed_line", "$.resourceSpans"),
    ],
)  # fmt: skip
def test_a_bad_span_is_rejected_alone_and_named_without_its_content(body, reason, where):
    good = with_span()
    if isinstance(body, dict):
        body["resourceSpans"][0]["scopeSpans"][0]["spans"] += good["resourceSpans"][0]["scopeSpans"][0][
            "spans"
        ]
    rows, tally = read("otlp", body, good)
    assert len(rows) == (2 if isinstance(body, dict) else 1)
    assert tally.rejected == {reason: 1}
    assert where in tally.examples[0]
    assert "secret" not in str(tally.examples)


def test_nobody_is_found_where_nobody_is_named():
    body = with_span(user__id=None)
    body["resourceSpans"][0]["resource"] = {}
    rows, tally = read("otlp", body)
    assert rows == []
    assert tally.rejected == {"empty_user": 1}
    assert (
        read("otlp", with_span(), users=("client.address", "enduser.pseudo.id"))[0][0]["user_id"]
        == "tenant-1"
    )


def test_what_cannot_be_read_on_a_resource_costs_no_span():
    body = with_span()
    body["resourceSpans"][0]["resource"]["attributes"].append({"key": "user.id", "value": None})
    rows, tally = read("otlp", body, with_span())
    assert [row["user_id"] for row in rows] == ["alice", "alice"]
    assert tally.rejected == {}
