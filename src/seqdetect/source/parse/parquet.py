"""Parquet, by row group."""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from seqdetect.events import SCHEMA, TEXT
from seqdetect.source.parse import Block, Mask
from seqdetect.source.parse.header import Layout, resolve

_BYTES = {pa.string(): pa.binary(), pa.large_string(): pa.large_binary()}


def read(path: str, layout: Layout, chunk_rows: int) -> Iterator[Block]:
    """Blocks of at most ``chunk_rows`` rows; a file of no bytes has none.

    Raises ``ValueError`` for a damaged file, and where a column is missing.
    """
    if os.path.getsize(path) == 0:
        return
    try:
        with pq.ParquetFile(path, memory_map=True) as file:
            wanted = resolve(file.schema_arrow.names, layout, path)
            names = _dictionaries(file, wanted)
        # as the file holds names, each of them once per group: they are not spelled out row by row
        with pq.ParquetFile(path, memory_map=True, read_dictionary=names) as file:
            yield from _blocks(file, path, wanted, chunk_rows)
    except (pa.ArrowException, UnicodeDecodeError, OSError) as error:
        raise ValueError(f"{path}: not a readable Parquet file: {error}") from error


def _dictionaries(file: pq.ParquetFile, wanted: dict[str, str]) -> list[str]:
    """The columns of names that are text; an ``event_id`` is different in every row."""
    schema = file.schema_arrow
    return [
        name
        for own, name in wanted.items()
        if SCHEMA.field(own).type == TEXT and pa.types.is_string(schema.field(name).type)
    ]


def _blocks(file: pq.ParquetFile, path: str, wanted: dict[str, str], chunk_rows: int) -> Iterator[Block]:
    number = 1
    for batch in file.iter_batches(batch_size=chunk_rows, columns=sorted({*wanted.values()})):
        places = {own: batch.schema.get_field_index(name) for own, name in wanted.items()}
        columns = {own: _filterable(batch.column(place)) for own, place in places.items()}
        numbers = number + np.arange(batch.num_rows, dtype=np.int64)
        number += batch.num_rows
        good = np.logical_and.reduce([_is_text(column) for column in columns.values()])
        if not good.all():
            columns = {own: _only(column, good) for own, column in columns.items()}
        malformed = [(row, "not UTF-8") for row in numbers[~good].tolist()]
        yield Block(path, "row", columns, wanted, numbers[good], malformed)


def _only(column: pa.Array, rows: Mask) -> pa.Array:
    kept = column.filter(pa.array(rows))
    # a dictionary would still hold what is no text
    return kept.dictionary_decode() if pa.types.is_dictionary(kept.type) else kept


def _filterable(column: pa.Array) -> pa.Array:
    if not pa.types.is_string_view(column.type):
        return column
    # by way of bytes, because text that is none cannot be cast
    return column.cast(pa.binary_view()).cast(pa.binary()).view(pa.string())


def _is_text(column: pa.Array) -> Mask:
    """Which rows hold what their type promises: text that is none is not looked at when it is read."""
    coded = pa.types.is_dictionary(column.type)
    values = column.dictionary if coded else column
    good = np.ones(len(values), bool)
    binary = _BYTES.get(values.type)
    if binary is not None:
        try:
            values.validate(full=True)
        except pa.ArrowInvalid:
            good[:] = [_decodes(value) for value in values.cast(binary).to_pylist()]
    if not coded:
        return good
    given: Mask = np.append(good, True)[column.indices.cast(pa.int64()).fill_null(len(good)).to_numpy()]
    return given


def _decodes(value: bytes | None) -> bool:
    try:
        (value or b"").decode()
    except UnicodeDecodeError:
        return False
    return True
