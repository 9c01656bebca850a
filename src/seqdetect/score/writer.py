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
    """Appends scored steps to a file as they come; the file is complete once it is closed."""

    def __init__(self, path: str | Path) -> None:
        self.path = str(path)
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        self._csv = self.path.endswith(".csv")
        make = pyarrow.csv.CSVWriter if self._csv else pyarrow.parquet.ParquetWriter
        schema = SCHEMA.set(1, pa.field("timestamp", pa.string())) if self._csv else SCHEMA
        self._writer = make(self.path, schema)

    def write(self, scored: Scored) -> None:
        """Append; an empty batch writes nothing."""
        if len(scored) == 0:
            return
        rows = table(scored)
        if self._csv:
            text = pc.strftime(rows.column("timestamp"), format="%Y-%m-%dT%H:%M:%SZ")
            rows = rows.set_column(1, "timestamp", text)
        self._writer.write_table(rows)

    def close(self) -> None:
        """Finish the file."""
        self._writer.close()
