"""Lines of foreign records to event tables."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

import msgspec
import numpy as np
import pyarrow as pa

from seqdetect.events import REQUIRED, Tally
from seqdetect.source.adapter import Adapter
from seqdetect.source.adapter.record import Outcome, Row
from seqdetect.source.live.body import lines
from seqdetect.source.parse import Block
from seqdetect.source.parse.header import KEY, Layout
from seqdetect.source.parse.lines import Stream, blocks
from seqdetect.source.parse.rows import accept
from seqdetect.source.parse.times import Clock

LONGEST_RECORD = 16 << 20
"""Bytes of the longest record: it may hold a prompt as long as any context window, and its answer."""
LARGEST_DOCUMENT = 256 << 20
"""Bytes of the largest file that is one document over many lines, and so is read at once."""

_BROKEN = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_ESCAPES = re.compile(rb"\\(?:u[dD][89abAB]..\\u[dD][c-fC-F]..|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL)
"""Escapes in JSON: a whole surrogate pair, the half of one (which is the group), or any other."""
_TYPES = {
    **dict.fromkeys(("timestamp", "prompt_tokens", "completion_tokens", "status"), pa.int64()),
    "latency_ms": pa.float64(),
}


def layout(of: Layout) -> Layout:
    """How the cells are read that an adapter gives; who is a user that is not named, and hidden, is as in ``of``."""
    return replace(of, key=KEY, columns={}, clock=Clock(unit="us"))


class Adapted:
    """Reads records with an adapter; stands in wherever ``live.reader.Reader`` does."""

    def __init__(self, adapter: Adapter, of: Layout) -> None:
        self._adapter = adapter
        self._layout = layout(of)

    def read(self, data: bytes, origin: str, tally: Tally, first: int = 1, unit: str = "line") -> pa.Table:
        """The good events of the records in the lines of ``data``, of which the first one is number ``first``."""
        return accept(parsed(self._adapter, data, origin, first, unit), self._layout, tally)


def read(stream: Stream, adapter: Adapter, chunk_rows: int) -> Iterator[Block]:
    """Blocks of the stream's records: one per line, or a document over many lines, or an array of them.

    Raises ``ValueError`` for a document that is none, or too large.
    """
    if not _is_document(stream.head):
        for data, number in blocks(stream, chunk_rows, LONGEST_RECORD):
            yield parsed(adapter, data, stream.origin, number)
        return
    held: list[bytes] = []
    size = 0
    for piece in stream.pieces:
        held.append(piece)
        size += len(piece)
        if size > LARGEST_DOCUMENT:
            raise ValueError(
                f"{stream.origin}: a document of more than {LARGEST_DOCUMENT >> 20} MiB; write one record per line"
            )
    try:
        records, unit = lines(b"".join(held))
    except ValueError as error:
        raise ValueError(f"{stream.origin}: {error}") from error
    yield parsed(adapter, records, stream.origin, unit=unit)


def parsed(adapter: Adapter, data: bytes, origin: str, first: int = 1, unit: str = "line") -> Block:
    """What is in the records in the lines of ``data``, as it was found, before any check."""
    rows: list[Row] = []
    numbers: list[int] = []
    malformed: list[tuple[int, str]] = []
    skipped: list[int] = []
    for number, record in enumerate(data.split(b"\n"), first):
        if not record or record.isspace():
            continue
        try:
            outcomes = _outcomes(adapter, record)
        except _BROKEN as error:
            malformed.append((number, str(error)))
            continue
        for outcome in outcomes:
            if isinstance(outcome, Row):
                rows.append(outcome)
                numbers.append(number)
            elif outcome is None:
                skipped.append(number)
            else:
                malformed.append((number, outcome))
    block = tabled(rows, origin)
    return replace(
        block,
        unit=unit,
        names=dict(adapter.fields),
        numbers=np.array(numbers, np.int64),
        malformed=malformed,
        skipped=skipped,
    )


def _outcomes(adapter: Adapter, record: bytes) -> Sequence[Outcome]:
    """What is in ``record``. Who sends what is no text is seen all the same: a header that is no UTF-8, which nginx
    writes as it came, or half a surrogate pair, which Python reads and writes and no other JSON does."""
    try:
        return adapter.read(record)
    except _BROKEN:
        mended = _ESCAPES.sub(_whole, record.decode(errors="replace").encode())
        if mended == record:
            raise
        return adapter.read(mended)


def tabled(rows: Sequence[Row], origin: str) -> Block:
    """The rows as a block, numbered from 1."""
    return Block(origin, "row", _columns(rows), {}, 1 + np.arange(len(rows)))


def _whole(escape: re.Match[bytes]) -> bytes:
    return b"\\ufffd" if escape[1] else escape[0]


def _is_document(head: bytes) -> bool:
    """Whether a file is one object written over many lines, or an array."""
    begin = head.lstrip()
    return begin[:1] == b"[" or begin.partition(b"\n")[0].strip() == b"{"


def _columns(rows: Sequence[Row]) -> dict[str, pa.Array]:
    """The rows' cells by column; an optional column that is empty throughout is left out."""
    columns = {}
    cells = list(zip(*rows, strict=True)) or [()] * len(Row._fields)
    for name, values in zip(Row._fields, cells, strict=True):
        column = pa.array(values, _TYPES.get(name, pa.string()))
        if name in REQUIRED.names or column.null_count < len(column):
            columns[name] = column
    return columns
