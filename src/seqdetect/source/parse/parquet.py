"""Parquet, by row group."""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from seqdetect.source.parse import Block
from seqdetect.source.parse.header import Layout, resolve


def read(path: str, layout: Layout, chunk_rows: int) -> Iterator[Block]:
    """Blocks of at most ``chunk_rows`` rows; a file of no bytes has none.

    Raises ``ValueError`` for a damaged file, and where a column is missing.
    """
    if os.path.getsize(path) == 0:
        return
    try:
        with pq.ParquetFile(path, memory_map=True) as file:
            wanted = resolve(file.schema_arrow.names, layout, path)
            yield from _blocks(file, path, wanted, chunk_rows)
    except (pa.ArrowInvalid, OSError) as error:
        raise ValueError(f"{path}: not a readable Parquet file: {error}") from error


def _blocks(file: pq.ParquetFile, path: str, wanted: dict[str, str], chunk_rows: int) -> Iterator[Block]:
    number = 1
    for batch in file.iter_batches(batch_size=chunk_rows, columns=sorted({*wanted.values()})):
        places = {own: batch.schema.get_field_index(name) for own, name in wanted.items()}
        columns = {own: batch.column(place) for own, place in places.items()}
        yield Block(path, "row", columns, wanted, number + np.arange(batch.num_rows, dtype=np.int64))
        number += batch.num_rows
