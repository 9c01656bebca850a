"""What the tests of live sources share: events as text, a keeper of parts, a client."""

from __future__ import annotations

import http.client
import json
from typing import Any

import pyarrow as pa

from seqdetect.events import Tally
from seqdetect.secret import Secret
from seqdetect.source.live import Live
from seqdetect.source.live.endpoint import Limits
from seqdetect.source.live.http import Http


def event(number: int = 0, **changes: Any) -> dict[str, Any]:
    whole = {
        "timestamp": 1_772_409_600 + number,
        "user_id": f"user-{number % 7}",
        "prompt_tokens": 100 + number,
        "completion_tokens": 5,
        "event_id": f"e{number}",
    }
    return whole | changes


def jsonl(*events: Any) -> bytes:
    return b"".join(json.dumps(one).encode() + b"\n" for one in events)


def ids(table: pa.Table | None) -> list[str]:
    return [] if table is None else table.column("event_id").to_pylist()


class Keeper:
    """The ``Parts`` of a source with one part."""

    def __init__(self, position: Any = None) -> None:
        self.position = position
        self.asked: list[str] = []

    def assigned(self, part: str) -> Any | None:
        self.asked.append(part)
        return self.position

    def revoked(self, part: str) -> None:
        raise AssertionError("nothing goes elsewhere")

    lost = revoked


class Posted:
    """A running HTTP source and one client."""

    def __init__(self, limits: Limits | None = None, token: str | None = None, routes: Any = ()) -> None:
        self.tally = Tally()
        secret = None if token is None else Secret(token)
        self.source = Http(self.tally, port=0, token=secret, limits=limits, routes=routes)
        self.source.start(Keeper())

    def post(self, body: Any, path: str = "/v1/events", **headers: str) -> tuple[int, Any, dict[str, str]]:
        """Status, body (as JSON where it is that) and headers of the answer to ``body`` on a new connection."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return request(self.source.port, "POST", path, body, named)

    def events(self) -> list[str]:
        """The ids of all events that can be polled now."""
        found: list[str] = []
        while (batch := self.source.poll(0.0)) is not None:
            found += ids(batch.table)
        return found


def request(
    port: int, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
) -> tuple[int, Any, dict[str, str]]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        text = answer.read()
        try:
            found = json.loads(text)
        except ValueError:
            found = text
        return answer.status, found, {name.lower(): value for name, value in answer.getheaders()}
    finally:
        connection.close()


def all_ids(source: Live, wanted: int, polls: int = 200) -> list[str]:
    """Poll until ``wanted`` events came, or too often."""
    found: list[str] = []
    for _ in range(polls):
        batch = source.poll(0.1)
        if batch is not None:
            found += ids(batch.table) if "event_id" in batch.table.column_names else []
        if len(found) >= wanted:
            break
    return found
