"""Scores as a file: Parquet, or CSV by its suffix."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from seqdetect.score.engine import LEVELS, Scored

SCHEMA: Final = pa.schema(
    [
        pa.field("user_id", pa.string()),
        pa.field("timestamp", pa.timestamp("us", tz="UTC")),
        pa.field("score", pa.float64()),
        pa.field("level", pa.string()),
        pa.field("top_feature", pa.string()),
    ]
)

GROUP_ROWS: Final = 65_536
"""Parquet keeps a record of every group in memory until the file ends: a live stream must not make one per tick."""


def table(scored: Scored) -> pa.Table:
    """The contract's columns, ordered by tick and user name."""
    top: list[str | None] = [None] * len(scored)
    for row, causes in scored.causes.items():
        top[row] = causes[0].name if causes else None
    names = pa.array(scored.names, pa.string())
    columns = [
        names.take(pa.array(scored.user)),
        pa.array(scored.tick).cast(SCHEMA.field("timestamp").type),
        pa.array(scored.score.astype(np.float64)),
        pa.array(LEVELS).take(pa.array(scored.level)),
        pa.array(top, pa.string()),
    ]
    unsorted = pa.Table.from_arrays(columns, schema=SCHEMA)
    return unsorted.take(
        pc.sort_indices(unsorted, sort_keys=[("timestamp", "ascending"), ("user_id", "ascending")])
    )


class ScoreWriter:
    """Appends scored steps to a file as they come; the file is complete once it is closed.

    Raises ``ValueError`` for another suffix than ``.csv`` and ``.parquet``.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = str(path)
        if Path(path).suffix not in (".csv", ".parquet"):
            raise ValueError(
                f"{path}: scores are written as .csv or .parquet; give the file one of these endings"
            )
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        self._csv = self.path.endswith(".csv")
        make = pyarrow.csv.CSVWriter if self._csv else pyarrow.parquet.ParquetWriter
        schema = SCHEMA.set(1, pa.field("timestamp", pa.string())) if self._csv else SCHEMA
        self._writer = make(self.path, schema)
        self._waiting: list[pa.Table] = []
        self._rows = 0

    def write(self, scored: Scored) -> None:
        """Append; an empty batch writes nothing. CSV is on disk at once, Parquet by groups of ``GROUP_ROWS``."""
        if len(scored) == 0:
            return
        rows = table(scored)
        if self._csv:
            text = pc.strftime(rows.column("timestamp"), format="%Y-%m-%dT%H:%M:%SZ")
            self._writer.write_table(rows.set_column(1, "timestamp", text))
            return
        self._waiting.append(rows)
        self._rows += rows.num_rows
        if self._rows >= GROUP_ROWS:
            self._write_group()

    def close(self) -> None:
        """Finish the file."""
        if self._waiting:
            self._write_group()
        self._writer.close()

    def _write_group(self) -> None:
        self._writer.write_table(pa.concat_tables(self._waiting))
        self._waiting, self._rows = [], 0
