"""Files of incidents. Unlike events they are the truth that all is measured by: one bad row is an error."""

from __future__ import annotations

import csv
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from seqdetect.incidents import COLUMNS
from seqdetect.source.parse import Numbers
from seqdetect.source.parse.cells import absent, as_strings
from seqdetect.source.parse.header import match
from seqdetect.source.parse.jsonl import inferred
from seqdetect.source.parse.lines import opened, scan
from seqdetect.source.parse.times import Clock

_ROWS_AT_ONCE = 65_536


def read(path: str, form: str, clock: Clock) -> pd.DataFrame:
    """The incidents of a ``csv``, ``jsonl`` or ``parquet`` file (``form``), with its further columns.

    ``start`` and ``end`` become int64 microseconds. Raises ``ValueError`` that names line and column for a
    missing or unreadable value, an end not after its start, and a second row of one incident and user.
    """
    columns, numbers = _parquet(path) if form == "parquet" else _lines(path, form)
    names = {own: match(list(columns), [own]) for own in COLUMNS}
    lacking = [own for own, name in names.items() if name is None]
    if lacking and columns:
        raise ValueError(
            f"{path}: incidents need the columns {COLUMNS}; missing: {lacking}, found: {list(columns)}"
        )
    frame: dict[str, Any] = {}
    for own, name in names.items():
        cells = columns.pop(name) if name in columns else pa.nulls(0, pa.string())
        _refuse(absent(cells), path, numbers, own, "is empty")
        frame[own] = _times(cells, clock, path, numbers, own) if own in ("start", "end") else _texts(cells)
    table = pd.DataFrame({**frame, **{name: cells.to_pandas() for name, cells in columns.items()}})
    _refuse((table["end"] <= table["start"]).to_numpy(), path, numbers, "end", "is not after start")
    twice = table.duplicated(["incident_id", "user_id"]).to_numpy()
    _refuse(twice, path, numbers, "incident_id", "is there a second time for the same user_id")
    return table


def _texts(cells: pa.Array) -> pd.Series:
    return pd.Series(as_strings(cells).to_pylist(), dtype="str")


def _times(cells: pa.Array, clock: Clock, path: str, numbers: Numbers, own: str) -> Numbers:
    micros, good = clock.read(cells)
    _refuse(~good, path, numbers, own, "is not a time (ISO-8601 or an epoch number, 1970 to 2262)")
    return micros


def _refuse(bad: np.ndarray, path: str, numbers: Numbers, own: str, fault: str) -> None:
    if bad.any():
        raise ValueError(f"{path} line {numbers[bad.argmax()]} field {own}: {fault}")


def _parquet(path: str) -> tuple[dict[str, pa.Array], Numbers]:
    table = pq.read_table(path)
    columns = {name: table.column(name).combine_chunks() for name in table.column_names}
    return columns, np.arange(1, table.num_rows + 1)


def _lines(path: str, form: str) -> tuple[dict[str, pa.Array], Numbers]:
    """Columns by the file's names, and the line numbers [rows]."""
    data = b"".join(piece for stream in opened(path, _ROWS_AT_ONCE) for piece in stream.pieces)
    if not data.strip():
        return {}, np.zeros(0, np.int64)
    lines, malformed = scan(data + b"\n", 1)
    if malformed:
        raise ValueError(f"{path} line {malformed[0][0]}: {malformed[0][1]}")
    numbers: list[int] = lines.numbers.tolist()
    texts = [text.decode().rstrip("\r") for text in lines.texts()]
    columns = _csv(path, numbers, texts) if form == "csv" else _jsonl(path, numbers, texts)
    return columns, lines.numbers[1:] if form == "csv" else lines.numbers


def _csv(path: str, numbers: list[int], texts: list[str]) -> dict[str, pa.Array]:
    delimiter = max(",;\t", key=texts[0].count)
    records = [_record(path, at, text, delimiter) for at, text in zip(numbers, texts, strict=True)]
    header = [name.strip() for name in records[0]]
    for number, record in zip(numbers[1:], records[1:], strict=True):
        if len(record) != len(header):
            raise ValueError(f"{path} line {number}: {len(record)} fields, the header has {len(header)}")
    cells = [[record[place] or None for record in records[1:]] for place in range(len(header))]
    return {name: pa.array(column, pa.string()) for name, column in zip(header, cells, strict=True)}


def _record(path: str, number: int, text: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([text], delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise ValueError(f"{path} line {number}: {error}") from error


def _jsonl(path: str, numbers: list[int], texts: list[str]) -> dict[str, pa.Array]:
    rows: list[dict[str, Any]] = []
    for number, text in zip(numbers, texts, strict=True):
        try:
            rows.append(msgspec.json.decode(text, type=dict[str, Any]))
        except msgspec.DecodeError as error:
            raise ValueError(f"{path} line {number}: {error}") from error
    keys = dict.fromkeys(key for row in rows for key in row)
    return {key: inferred([row.get(key) for row in rows]) for key in keys}
