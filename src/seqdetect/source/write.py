"""Event tables to files that ``files`` reads back as they were."""

from __future__ import annotations

import gzip
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, cast

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from seqdetect.events import chunks, conform
from seqdetect.source.files import form
from seqdetect.source.parse.lines import STDIN


def write(table: pa.Table, path: str) -> None:
    """Write an event table as CSV, JSON lines or Parquet, by the suffix; ``-`` is JSON lines on stdout.

    Times are ISO-8601 with ``Z`` and microseconds. An empty text in an optional column is read back as a
    missing one. Raises ``ValueError`` for an unknown suffix, and for CSV where a text has a line break.
    """
    table = conform(table)
    found = "jsonl" if path == STDIN else form(path)
    if found is None or (found == "parquet" and path.endswith(".gz")):
        raise ValueError(f"{path}: cannot tell the format; use .csv, .jsonl, .parquet, .csv.gz or .jsonl.gz")
    if found == "parquet":
        pq.write_table(table, path, compression="zstd")
        return
    if found == "csv":
        _refuse_breaks(table, path)
    with _opened(path) as file:
        if found == "csv":
            file.write(",".join(table.column_names).encode() + b"\n")
        for part in chunks(table):
            (_csv if found == "csv" else _jsonl)(_spelled(part), file)


@contextmanager
def _opened(path: str) -> Iterator[BinaryIO]:
    if path == STDIN:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    with open(path, "wb") as file:
        if not path.endswith(".gz"):
            yield file
            return
        # No name and no time inside, so that equal tables make equal files.
        with gzip.GzipFile("", "wb", 6, file, mtime=0) as zipped:
            yield cast(BinaryIO, zipped)


def _refuse_breaks(table: pa.Table, path: str) -> None:
    for name, column in zip(table.column_names, table.columns, strict=True):
        if pa.types.is_dictionary(column.type) or pa.types.is_string(column.type):
            words = column.cast(pa.string())
            if pc.any(pc.match_substring_regex(words, "[\\r\\n\\x00]")).as_py():
                raise ValueError(f"{path}: a line break in column {name}, which CSV cannot hold: use .jsonl")


def _spelled(table: pa.Table) -> pa.Table:
    """The table with its times and texts as plain strings."""
    columns: dict[str, Any] = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        if name == "timestamp":
            column = pc.replace_substring(column.cast(pa.string()), " ", "T", max_replacements=1)
        columns[name] = column.cast(pa.string()) if pa.types.is_dictionary(column.type) else column
    return pa.table(columns)


def _csv(table: pa.Table, file: BinaryIO) -> None:
    quoted = any(
        pc.any(pc.match_substring_regex(column, '[",]')).as_py()
        for column in table.columns
        if pa.types.is_string(column.type)
    )
    style = "needed" if quoted else "none"
    pa_csv.write_csv(table, file, pa_csv.WriteOptions(include_header=False, quoting_style=style))


def _jsonl(table: pa.Table, file: BinaryIO) -> None:
    row = msgspec.defstruct("Row", [(name, Any, None) for name in table.column_names], omit_defaults=True)
    columns = [column.to_pylist() for column in table.columns]
    file.write(msgspec.json.Encoder().encode_lines([row(*cells) for cells in zip(*columns, strict=True)]))
