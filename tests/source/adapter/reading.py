"""What the tests of adapters share: records in, rows out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa

from seqdetect.events import Tally
from seqdetect.source.adapter import FORMATS
from seqdetect.source.adapter.adapted import Adapted
from seqdetect.source.parse.header import Layout

GOLDEN = Path(__file__).resolve().parents[2] / "golden"


def golden(name: str) -> Any:
    return json.loads((GOLDEN / name).read_text())


def read(format: str, *records: Any, users: tuple[str, ...] = ()) -> tuple[list[dict[str, Any]], Tally]:
    """The events of the records, with times in microseconds and without empty fields; and what was counted."""
    lines = b"".join((one if isinstance(one, bytes) else json.dumps(one).encode()) + b"\n" for one in records)
    tally = Tally()
    table = Adapted(FORMATS[format](users), Layout()).read(lines, "records", tally)
    place = table.column_names.index("timestamp")
    table = table.set_column(place, "timestamp", table.column("timestamp").cast(pa.int64()))
    rows = [{name: value for name, value in row.items() if value is not None} for row in table.to_pylist()]
    return rows, tally
