"""What is taken in at each path: how a body there is meant, and how it is answered."""

from __future__ import annotations

from typing import Any, Final, Protocol

import pyarrow as pa
from starlette.responses import JSONResponse

from seqdetect.events import Tally
from seqdetect.source.live.body import UnreadableError, lines
from seqdetect.source.live.reader import Reads

EVENTS: Final = "/v1/events"
TRACES: Final = "/v1/traces"


class Door(Protocol):
    """One path. Who may send, and how much, is the same at all of them (``endpoint``)."""

    @property
    def path(self) -> str:
        """Where it is."""
        ...

    def unfit(self, content_type: str) -> str | None:
        """Why a body of this type (in lower case, without its parameters) is not taken; None: it is."""
        ...

    def read(self, body: bytes, tally: Tally) -> pa.Table:
        """The good events of ``body``; the others are counted. Raises ``UnreadableError`` where there is nothing."""
        ...

    def taken(self, table: pa.Table, tally: Tally) -> JSONResponse:
        """The answer once the events are as safe as they will be."""
        ...

    def refused(self, error: str) -> dict[str, Any]:
        """The body of the answer where nothing was taken in."""
        ...


class Lines:
    """JSON: one object, an array of them, or one per line; answered with 202 and counts."""

    def __init__(self, path: str, reader: Reads) -> None:
        self.path = path
        self._reader = reader

    def unfit(self, content_type: str) -> str | None:
        return None

    def read(self, body: bytes, tally: Tally) -> pa.Table:
        text, unit = lines(body)
        table = self._reader.read(text, "body", tally, unit=unit)
        if unit == "line" and 0 < tally.read == tally.rejected["malformed_line"]:
            raise UnreadableError(
                f"the body is no JSON object, array of objects or lines of them: {tally.examples[0]}"
            )
        return table

    def taken(self, table: pa.Table, tally: Tally) -> JSONResponse:
        answer = {
            "accepted": table.num_rows,
            "rejected": sum(tally.rejected.values()),
            "reasons": dict(tally.rejected),
            "examples": tally.examples,
        }
        return JSONResponse(answer | ({"skipped": tally.skipped} if tally.skipped else {}), 202)

    def refused(self, error: str) -> dict[str, Any]:
        return {"error": error}


class Traces(Lines):
    """OTLP over HTTP with JSON, answered as OTLP has it (https://opentelemetry.io/docs/specs/otlp/#otlphttp-response)."""

    def __init__(self, reader: Reads) -> None:
        super().__init__(TRACES, reader)

    def unfit(self, content_type: str) -> str | None:
        if content_type in ("application/json", ""):
            return None
        return (
            "traces are taken in as JSON alone (Content-Type: application/json); in the Collector that is "
            "encoding: json of the exporter otlphttp"
        )

    def taken(self, table: pa.Table, tally: Tally) -> JSONResponse:
        rejected = sum(tally.rejected.values())
        if not rejected:
            return JSONResponse({}, 200)
        why = "; ".join(tally.examples)
        return JSONResponse({"partialSuccess": {"rejectedSpans": str(rejected), "errorMessage": why}}, 200)

    def refused(self, error: str) -> dict[str, Any]:
        return {"message": error}
