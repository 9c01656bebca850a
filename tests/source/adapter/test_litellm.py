"""Records of a real LiteLLM proxy (``tests/golden/litellm``)."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from reading import GOLDEN, golden, read

RECORDS: list[dict[str, Any]] = [record for body in golden("litellm/generic_api.json") for record in body]
EVENTS: list[dict[str, Any]] = [event for body in golden("litellm/events.json") for event in body]


def test_what_the_proxy_logs_becomes_the_same_events_as_the_callback_sends():
    rows, tally = read("litellm", *RECORDS)
    assert tally.line() == "events: 6 read, 0 rejected (), 0 late"
    told = {one["event_id"]: one for one in EVENTS}
    assert [row["user_id"] for row in rows] == ["alice", "bob", "default_user_id", "alice", "alice", "bob"]
    assert [row["status"] for row in rows] == [200, 200, 200, 200, 500, 429]
    for row in rows:
        other = told[row["event_id"]]
        assert row["timestamp"] == round(other["timestamp"] * 1e6)
        assert row["latency_ms"] == pytest.approx(other["latency_ms"])
        for name in row.keys() - {"timestamp", "latency_ms"}:
            assert row[name] == other[name], name


def test_the_golden_records_hold_what_must_not_be_kept_and_the_events_do_not():
    text = (GOLDEN / "litellm" / "generic_api.json").read_text()
    assert "a prompt nobody may keep" in text
    assert "an answer nobody may keep" in text
    assert "prompt nobody" not in json.dumps(read("litellm", *RECORDS)[0] + EVENTS)


@pytest.mark.parametrize(
    ("users", "found"),
    [
        (("user_api_key_user_id",), "default_user_id"),
        (("user_api_key_team_id", "end_user"), "alice"),
        (("user_api_key_hash", "end_user"), RECORDS[0]["metadata"]["user_api_key_hash"]),
    ],
)
def test_who_the_user_is_can_be_said(users, found):
    rows, _ = read("litellm", RECORDS[0], users=users)
    assert rows[0]["user_id"] == found


def test_a_place_that_is_not_in_the_records_is_named():
    with pytest.raises(
        ValueError, match=r"users: there is no end_usr in these records \(did you mean end_user"
    ):
        read("litellm", users=("end_usr",))


def changed(**fields: Any) -> dict[str, Any]:
    return copy.deepcopy(RECORDS[0]) | fields


@pytest.mark.parametrize(
    ("record", "reason", "where"),
    [
        (changed(prompt_tokens="my secret prompt"), "malformed_line", "$.prompt_tokens"),
        (changed(prompt_tokens=-1), "negative_tokens", "field prompt_tokens"),
        (changed(completion_tokens=None), "missing_value", "field completion_tokens"),
        (changed(startTime=None, endTime=None), "missing_value", "field timestamp (endTime)"),
        (changed(endTime=9.9e9), "bad_timestamp", "field timestamp (endTime)"),
        (changed(endTime="my secret prompt"), "malformed_line", "$.endTime"),
        (changed(end_user="", metadata=None), "empty_user", "field user_id"),
        (changed(end_user=["my secret prompt"]), "malformed_line", "$.end_user"),
        (b'{"messages": "my secret prompt", "id": ', "malformed_line", "truncated"),
        (b'["my secret prompt"]', "malformed_line", "got `array`"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_and_what_was_said_is_not(record, reason, where):
    rows, tally = read("litellm", RECORDS[1], record, RECORDS[2])
    assert len(rows) == 2
    assert tally.read == 3
    assert tally.rejected == {reason: 1}
    assert where in tally.examples[0]
    assert "line 2" in tally.examples[0]
    assert "secret" not in str(tally.examples)


def test_a_failure_without_a_code_counts_as_one_of_the_server():
    for code in ("", None, "what", "99999"):
        rows, _ = read("litellm", changed(status="failure", error_information={"error_code": code}))
        assert rows[0]["status"] == 500
