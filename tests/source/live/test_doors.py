"""Other programs' records over HTTP: each has a path, and the answers that the program understands."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from senders import Keeper, event, jsonl, request

from seqdetect.events import Tally
from seqdetect.secret import Secret

pytest.importorskip("starlette")

from seqdetect.source.adapter import FORMATS
from seqdetect.source.adapter.adapted import Adapted
from seqdetect.source.live.door import Lines, Traces
from seqdetect.source.live.endpoint import Limits
from seqdetect.source.live.http import Http
from seqdetect.source.live.log import WriteAhead
from seqdetect.source.parse.header import Layout

GOLDEN = Path(__file__).resolve().parents[2] / "golden"
RECORDS = json.loads((GOLDEN / "litellm" / "generic_api.json").read_text())
TRACES = json.loads((GOLDEN / "otlp" / "traces.json").read_text())
JSON = {"Content-Type": "application/json"}


def http(tally: Tally, **options: Any) -> Http:
    doors = [
        Lines("/v1/ingest/litellm", Adapted(FORMATS["litellm"](()), Layout())),
        Traces(Adapted(FORMATS["otlp"](()), Layout())),
    ]
    return Http(tally, port=0, doors=doors, **options)


@pytest.fixture
def tally() -> Tally:
    return Tally()


@pytest.fixture
def source(tally: Tally) -> Iterator[Http]:
    made = http(tally, limits=Limits(max_body_bytes=1 << 20))
    made.start(Keeper())
    yield made
    made.close()


def polled(source: Http) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while (batch := source.poll(0.0)) is not None:
        found += batch.table.to_pylist()
    return found


def test_bodies_of_litellm_are_taken_in(source: Http, tally: Tally):
    for body in RECORDS:
        status, answer, _ = request(source.port, "POST", "/v1/ingest/litellm", json.dumps(body), JSON)
        assert (status, answer) == (202, {"accepted": 1, "rejected": 0, "reasons": {}, "examples": []})
    lines = b"".join(json.dumps(one).encode() + b"\n" for body in RECORDS for one in body)
    assert request(source.port, "POST", "/v1/ingest/litellm", lines, JSON)[1]["accepted"] == len(RECORDS)
    assert len(polled(source)) == tally.read == 2 * len(RECORDS)


def test_all_paths_lead_to_one_stream(source: Http):
    assert request(source.port, "POST", "/v1/events", jsonl(event(0)), JSON)[0] == 202
    assert request(source.port, "POST", "/v1/traces", json.dumps(TRACES[0]), JSON)[0] == 200
    assert {row["user_id"] for row in polled(source)} == {"user-0", "alice"}


def test_traces_are_answered_as_otlp_has_it(source: Http, tally: Tally):
    for body in TRACES:
        zipped = gzip.compress(json.dumps(body).encode())
        status, answer, _ = request(
            source.port, "POST", "/v1/traces", zipped, {**JSON, "Content-Encoding": "gzip"}
        )
        assert (status, answer) == (200, {})
    assert len(polled(source)) == 4
    assert tally.skipped == 2


def test_rejected_spans_are_counted_in_the_answer(source: Http):
    body = json.loads(json.dumps(TRACES[0]))
    spans = body["resourceSpans"][0]["scopeSpans"][0]["spans"]
    spans.append({**spans[0], "endTimeUnixNano": "secret"})
    status, answer, _ = request(source.port, "POST", "/v1/traces", json.dumps(body), JSON)
    assert status == 200
    assert answer["partialSuccess"]["rejectedSpans"] == "1"  # int64 is text in OTLP's JSON
    assert "nanoseconds" in answer["partialSuccess"]["errorMessage"]
    assert "secret" not in str(answer)
    assert request(source.port, "POST", "/v1/traces", b"{}", JSON)[:2] == (200, {})


def test_protobuf_is_refused_with_what_to_do(source: Http):
    status, answer, _ = request(
        source.port, "POST", "/v1/traces", b"\x0a\x00", {"Content-Type": "application/x-protobuf"}
    )
    assert status == 415
    assert "application/json" in answer["message"]


@pytest.mark.parametrize("path", ["/v1/ingest/litellm", "/v1/traces"])
@pytest.mark.parametrize(
    ("body", "wanted"), [(b"secret", 400), (b"", 400), (b'["secret"', 400), (b" " * (2 << 20), 413)]
)
def test_nonsense_is_refused_and_not_repeated(source: Http, path: str, body: bytes, wanted: int):
    status, answer, _ = request(source.port, "POST", path, body, JSON)
    assert status == wanted
    assert "secret" not in str(answer)
    assert ("message" if path == "/v1/traces" else "error") in answer


def test_a_path_that_was_not_asked_for_is_not_there(source: Http):
    assert request(source.port, "POST", "/v1/ingest/kong", b"{}", JSON)[0] == 404
    plain = Http(Tally(), port=0)
    plain.start(Keeper())
    try:
        assert request(plain.port, "POST", "/v1/traces", b"{}", JSON)[0] == 404
    finally:
        plain.close()


@pytest.mark.parametrize("path", ["/v1/ingest/litellm", "/v1/traces"])
def test_the_token_is_asked_for_at_every_path(path: str):
    source = http(Tally(), token=Secret("hunter2"))
    source.start(Keeper())
    try:
        assert request(source.port, "POST", path, b"{}", JSON)[0] == 401
        known = {**JSON, "Authorization": "Bearer hunter2"}
        assert request(source.port, "POST", path, json.dumps(TRACES[0]), known)[0] in (200, 202)
    finally:
        source.close()


def test_the_journal_holds_no_prompt(tmp_path: Path):
    tally = Tally()
    log = WriteAhead(http(tally), tmp_path / "journal", tally)
    log.start(Keeper())
    port = log._source.port  # type: ignore[attr-defined]
    for body in RECORDS:
        assert request(port, "POST", "/v1/ingest/litellm", json.dumps(body), JSON)[0] == 202
    for body in TRACES:
        assert request(port, "POST", "/v1/traces", json.dumps(body), JSON)[0] == 200
    log.close()
    kept = b"".join(path.read_bytes() for path in (tmp_path / "journal").iterdir())
    assert b"alice" in kept
    assert b"nobody may keep" not in kept
