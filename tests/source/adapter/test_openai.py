"""Answers and usage exports in OpenAI's forms, written by hand after its reference."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from reading import read

from seqdetect.events import Tally, concat
from seqdetect.source.adapter.openai_usage import MOST
from seqdetect.source.files import Files

CHAT = {
    "id": "chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT",
    "object": "chat.completion",
    "created": 1_741_569_952,
    "model": "gpt-5",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "an answer nobody may keep"}}],
    "usage": {"prompt_tokens": 19, "completion_tokens": 10, "total_tokens": 29,
              "prompt_tokens_details": {"cached_tokens": 0}},
    "user": "alice",
}  # fmt: skip
RESPONSE = {
    "id": "resp_67ccd2bed1ec8190b14f964abc0542670bb6a6b452d3795b",
    "object": "response",
    "created_at": 1_741_476_542.0,
    "completed_at": 1_741_476_544,
    "status": "completed",
    "model": "gpt-5",
    "output": [
        {"type": "message", "content": [{"type": "output_text", "text": "an answer nobody may keep"}]}
    ],
    "usage": {"input_tokens": 36, "output_tokens": 87, "total_tokens": 123},
    "metadata": {"user_id": "bob"},
}
EMBEDDING = {
    "object": "list", "created": 1_741_569_953, "model": "text-embedding-3-small", "user": "alice",
    "data": [{"object": "embedding", "embedding": [0.1]}], "usage": {"prompt_tokens": 8, "total_tokens": 8},
}  # fmt: skip


def test_both_spellings_of_usage_are_read_and_no_text():
    rows, tally = read("openai", CHAT, RESPONSE, EMBEDDING, {"object": "chat.completion.chunk", "id": "x"})
    assert tally.line() == "events: 3 read, 0 rejected (), 0 late, 1 skipped"
    assert [(r["user_id"], r["prompt_tokens"], r["completion_tokens"]) for r in rows] == [
        ("alice", 19, 10),
        ("bob", 36, 87),
        ("alice", 8, 0),
    ]
    assert rows[1]["timestamp"] == 1_741_476_544_000_000
    assert rows[1]["latency_ms"] == 2_000
    assert "nobody" not in json.dumps(rows)


def test_a_failed_response_has_a_status_of_its_own():
    rows, _ = read("openai", RESPONSE | {"status": "failed"})
    assert rows[0]["status"] == 500


def page(*buckets: dict[str, Any]) -> dict[str, Any]:
    return {"object": "page", "data": list(buckets), "has_more": False, "next_page": None}


def bucket(start: int, *results: dict[str, Any]) -> dict[str, Any]:
    return {"object": "bucket", "start_time": start, "end_time": start + 60, "results": list(results)}


def result(user: str | None, requests: int, prompt: int, completion: int, **more: Any) -> dict[str, Any]:
    return {
        "object": "organization.usage.completions.result", "input_tokens": prompt, "output_tokens": completion,
        "input_cached_tokens": 0, "num_model_requests": requests, "project_id": None, "user_id": user,
        "api_key_id": None, "model": "gpt-5", "batch": False,
    } | more  # fmt: skip


START = 1_730_419_200
PAGE = page(
    bucket(START, result("alice", 5, 1_000, 503), result("bob", 2, 10, 3)),
    bucket(START + 60, result("alice", 0, 0, 0), result(None, 1, 7, 7, api_key_id="key_1")),
)


def test_a_bucket_becomes_requests_that_add_up_in_order_of_time():
    rows, tally = read("openai_usage", PAGE)
    assert tally.line() == "events: 8 read, 0 rejected (), 0 late, 1 skipped"
    alice = [row for row in rows if row["user_id"] == "alice"]
    assert [row["timestamp"] / 1e6 - START for row in alice] == [6, 18, 30, 42, 54]
    assert sum(row["prompt_tokens"] for row in alice) == 1_000
    assert sum(row["completion_tokens"] for row in alice) == 503
    assert {row["completion_tokens"] for row in alice} == {100, 101}
    assert [row["timestamp"] for row in rows] == sorted(row["timestamp"] for row in rows)
    assert rows[-1]["user_id"] == "key_1"


def test_a_busy_bucket_is_bounded_and_its_tokens_are_not():
    rows, _ = read("openai_usage", page(bucket(START, result("u", 10**9, 10**12, 7))))
    assert len(rows) == MOST
    assert sum(row["prompt_tokens"] for row in rows) == 10**12


@pytest.mark.parametrize(
    "bad",
    [
        page(bucket(START, result("u", -1, 1, 1))),
        page(bucket(START, result("u", 1, 1, 1) | {"input_tokens": "secret"})),
        page(bucket(START) | {"end_time": START - 1}),
        page({"object": "bucket", "start_time": "secret"}),
    ],
)
def test_what_is_wrong_in_a_page_costs_no_more_than_itself(bad):
    bad["data"].append(bucket(START, result("good", 1, 1, 1)))
    rows, tally = read("openai_usage", bad)
    assert [row["user_id"] for row in rows] == ["good"]
    assert tally.rejected == {"malformed_line": 1}
    assert "secret" not in str(tally.examples)


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(PAGE),
        json.dumps(PAGE, indent=2),
        json.dumps([PAGE, page()], indent=2),
        "\n".join(json.dumps(one) for one in PAGE["data"]),
        json.dumps({**PAGE, "padding": "x" * 2_000_000}),
    ],
    ids=["one line", "indented", "array", "buckets", "long line"],
)
def test_files_of_pages_are_read_however_they_are_written(text: str, tmp_path: Path):
    path = tmp_path / "usage.json"
    path.write_text(text)
    tally = Tally()
    table = concat(Files(str(path), format="openai_usage").read(tally))
    assert table.num_rows == 8
    assert tally.rejected == {}
