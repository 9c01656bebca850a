"""Records of Kong's logging plugins, written by hand after its documentation (``tests/golden/kong``)."""

from __future__ import annotations

import json

import pytest
from reading import GOLDEN, read

LINES = (GOLDEN / "kong" / "ai-proxy.jsonl").read_bytes().splitlines()


def test_usage_is_that_of_the_request_whatever_the_version_calls_it():
    rows, tally = read("kong", *LINES)
    assert tally.line() == "events: 4 read, 0 rejected (), 0 late, 1 skipped"
    told = [
        (row["user_id"], row["prompt_tokens"], row["completion_tokens"], row.get("model"), row["status"])
        for row in rows
    ]
    assert told == [
        ("alice", 28, 20, "command-r", 200),
        ("b-2", 89, 56, "gpt-35-turbo", 200),
        ("alice", 0, 0, None, 429),
        ("c3", 17, 20, "tgi", 200),
    ]
    first = rows[0]
    assert first["timestamp"] == (1_787_113_201_719 + 2_681) * 1_000  # when it ended
    assert first["latency_ms"] == 2_681
    assert (first["client_ip"], first["user_agent"]) == ("192.0.2.65", "golden/1")
    assert (first["endpoint"], first["event_id"]) == (
        "/v1/chat/completions",
        "9ec9264afbbbad5fe5c64877d92eeb04",
    )


def test_prompts_and_answers_are_in_no_event():
    assert sum(b"nobody may keep" in line for line in LINES) == 2
    assert "nobody" not in json.dumps(read("kong", *LINES)[0])


def test_the_user_can_be_the_credential():
    rows, tally = read("kong", *LINES, users=("authenticated_entity.id",))
    assert [row["user_id"] for row in rows] == ["key-1"]
    assert tally.rejected == {"empty_user": 3}


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (("ai", {"proxy": {"usage": {"prompt_tokens": 1.5}}}), "ai.proxy.usage.prompt_tokens"),
        (("ai", {"proxy": {"usage": {"prompt_tokens": "secret"}}}), "$.usage"),
        (
            ("response", {"status": 200, "headers": {"x-llm-prompt-tokens": "secret"}}),
            "header of prompt tokens",
        ),
        (("started_at", "secret"), "$.started_at"),
        (("response", {"status": 10**30}), "$.response.status"),
    ],
)
def test_what_is_wrong_is_named(change, where):
    record = json.loads(LINES[0])
    record.pop("ai")
    record[change[0]] = change[1]
    rows, tally = read("kong", LINES[0], record)
    assert len(rows) == 1
    assert tally.rejected == {"malformed_line": 1}
    assert where in tally.examples[0]
    assert "secret" not in tally.examples[0]
