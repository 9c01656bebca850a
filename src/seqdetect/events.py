"""Request events: the one table format that every stage reads and writes.

An event batch is a ``pyarrow.Table`` with the columns of ``SCHEMA``, in arrival order. The four required
columns are always there; optional columns that a source lacks are left out, and a null stands for a single
missing value.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc

MICROSECONDS = 1_000_000
"""Microseconds in a second: timestamps are int64 microseconds since the Unix epoch, UTC."""

TEXT = pa.dictionary(pa.int32(), pa.string())

REQUIRED = pa.schema(
    [
        pa.field("timestamp", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("user_id", TEXT, nullable=False),
        pa.field("prompt_tokens", pa.int64(), nullable=False),
        pa.field("completion_tokens", pa.int64(), nullable=False),
    ]
)
OPTIONAL = pa.schema(
    [
        pa.field("model", TEXT),
        pa.field("client_ip", TEXT),
        pa.field("status", pa.int16()),
        pa.field("latency_ms", pa.float64()),
        pa.field("user_agent", TEXT),
        pa.field("endpoint", TEXT),
        pa.field("event_id", pa.string()),
    ]
)
SCHEMA = pa.unify_schemas([REQUIRED, OPTIONAL])

ALIASES: dict[str, tuple[str, ...]] = {
    "timestamp": ("TIMESTAMP", "Timestamp", "time", "ts", "startTime"),
    "user_id": ("user", "end_user", "user.id", "enduser.id", "api_key", "Session ID", "client_ip"),
    "prompt_tokens": (
        "request_tokens",
        "Request tokens",
        "ContextTokens",
        "input_tokens",
        "gen_ai.usage.input_tokens",
    ),
    "completion_tokens": (
        "response_tokens",
        "Response tokens",
        "GeneratedTokens",
        "output_tokens",
        "gen_ai.usage.output_tokens",
    ),
    "model": ("Model", "model_name", "gen_ai.request.model"),
    "client_ip": ("ip", "requester_ip_address", "client.address"),
    "status": ("status_code", "http.response.status_code"),
    "latency_ms": (),
    "user_agent": ("user_agent.original",),
    "endpoint": ("path", "url.path"),
    "event_id": ("request_id", "id", "gen_ai.response.id"),
}
"""Accepted column names beside our own, first match wins."""

EXAMPLES_KEPT = 5


@dataclass
class Tally:
    """What became of the rows of one run: read, rejected by reason, late. Shared by source and scorer.

    ``skipped`` are records of foreign programs that were no requests to a model; they do not count as read.
    """

    read: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    late: int = 0
    skipped: int = 0
    examples: list[str] = field(default_factory=list)

    def reject(self, reason: str, where: str, detail: str, count: int = 1) -> None:
        """Count ``count`` rows rejected for ``reason``; the first few are kept as ``where: detail``.

        ``reason`` is a short slug without spaces (``negative_tokens``); ``where`` names file, line and field.
        """
        self.rejected[reason] += count
        if len(self.examples) < EXAMPLES_KEPT:
            self.examples.append(f"{where}: {detail}")

    def line(self) -> str:
        """The closing line every command that reads events prints to stderr."""
        total = sum(self.rejected.values())
        reasons = " ".join(f"{name}={n}" for name, n in sorted(self.rejected.items()))
        skipped = f", {self.skipped} skipped" if self.skipped else ""
        return f"events: {self.read} read, {total} rejected ({reasons}), {self.late} late{skipped}"


def conform(table: pa.Table) -> pa.Table:
    """Cast ``table`` to ``SCHEMA``'s types and column order, dropping columns that are not in it.

    Raises ``ValueError`` when a required column is missing.
    """
    missing = [name for name in REQUIRED.names if name not in table.column_names]
    if missing:
        raise ValueError(f"an event table needs the columns {REQUIRED.names}; missing: {missing}")
    fields = [SCHEMA.field(name) for name in SCHEMA.names if name in table.column_names]
    columns = []
    for wanted in fields:
        column = table.column(wanted.name)
        if wanted.type == TEXT and not pa.types.is_dictionary(column.type):
            column = pc.dictionary_encode(column.cast(pa.string()))
        columns.append(column.cast(wanted.type))
    return pa.Table.from_arrays(columns, schema=pa.schema(fields))


def concat(tables: Iterable[pa.Table]) -> pa.Table:
    """One table of all rows, in order; columns that some tables lack are filled with nulls."""
    parts = list(tables)
    if not parts:
        return REQUIRED.empty_table()
    return conform(pa.concat_tables(parts, promote_options="default").unify_dictionaries().combine_chunks())


def sort(table: pa.Table) -> pa.Table:
    """Rows in time order; rows of the same time by user, then by their other fields, so arrival never matters."""
    columns = [name for name in SCHEMA.names if name in table.column_names]
    plain = pa.table({name: _plain(table.column(name)) for name in columns})
    order = pc.sort_indices(plain, sort_keys=[(name, "ascending") for name in columns])
    return table.take(order)


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


def chunks(table: pa.Table, rows: int = 65_536) -> Iterator[pa.Table]:
    """``table`` in consecutive slices of at most ``rows`` rows."""
    for start in range(0, table.num_rows, rows):
        yield table.slice(start, rows)


def fingerprint(table: pa.Table) -> str:
    """A hash of the events' content, equal for equal rows in equal order (16 hex digits, BLAKE2b)."""
    digest = hashlib.blake2b(digest_size=8)
    for name in table.column_names:
        digest.update(name.encode())
        column = _plain(table.column(name))
        for chunk in pa.chunked_array([column.combine_chunks()]).chunks:
            for buffer in chunk.buffers():
                digest.update(buffer if buffer is not None else b"-")
    return digest.hexdigest()


def iso(microseconds: int) -> str:
    """A time as ISO-8601 with ``Z``; microseconds only where there are any."""
    return datetime.fromtimestamp(microseconds / MICROSECONDS, UTC).isoformat().replace("+00:00", "Z")
