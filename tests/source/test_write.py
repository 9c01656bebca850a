"""What is written is read back as it was."""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqdetect import events
from seqdetect.events import Tally
from seqdetect.source.files import Files
from seqdetect.source.parse.times import LATEST
from seqdetect.source.write import write

SAFE = st.characters(codec="utf-8", exclude_characters="\r\n\0")
TEXT = st.text(SAFE, min_size=1, max_size=8)
USER = TEXT.filter(str.strip)
ROW = st.fixed_dictionaries(
    {
        "timestamp": st.integers(0, LATEST),
        "user_id": USER,
        "prompt_tokens": st.integers(0, 10**9),
        "completion_tokens": st.integers(0, 10**9),
        "model": st.none() | TEXT,
        "status": st.none() | st.integers(0, 999),
        "latency_ms": st.none() | st.floats(0, 1e12),
        "event_id": st.none() | TEXT,
    }
)


def table_of(rows: list[dict[str, object]]) -> pa.Table:
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    stamps = pa.array(columns.pop("timestamp"), pa.int64()).cast(pa.timestamp("us", "UTC"))
    types = {name: events.SCHEMA.field(name).type for name in columns}
    plain = {name: pa.string() if kind == events.TEXT else kind for name, kind in types.items()}
    return events.conform(
        pa.table({"timestamp": stamps, **{n: pa.array(cells, plain[n]) for n, cells in columns.items()}})
    )


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "t.parquet", "t.csv.gz", "t.jsonl.gz"])
@settings(max_examples=40, deadline=None)
@given(rows=st.lists(ROW, min_size=1, max_size=12), chunk_rows=st.integers(1, 9))
def test_round_trip(name: str, rows: list[dict[str, object]], chunk_rows: int) -> None:
    table = table_of(rows)
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / name)
        write(table, path)
        tally = Tally()
        back = events.concat(Files(path, chunk_rows=chunk_rows).read(tally))
    assert not tally.rejected
    kept = [n for n in table.column_names if n in back.column_names]
    assert back.to_pylist() == table.select(kept).to_pylist()
    assert all(table.column(n).null_count == table.num_rows for n in set(table.column_names) - set(kept))


def test_equal_tables_make_equal_files(tmp_path: Path) -> None:
    table = table_of([{"timestamp": 1, "user_id": "u", "prompt_tokens": 1, "completion_tokens": 2}])
    for name in ("a.csv.gz", "b.csv.gz"):
        write(table, str(tmp_path / name))
    assert (tmp_path / "a.csv.gz").read_bytes() == (tmp_path / "b.csv.gz").read_bytes()


def test_stdout_gets_json_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(out))
    write(table_of([{"timestamp": 1, "user_id": "u", "prompt_tokens": 1, "completion_tokens": 2}]), "-")
    expected = (
        b'{"timestamp":"1970-01-01T00:00:00.000001Z","user_id":"u","prompt_tokens":1,"completion_tokens":2}\n'
    )
    assert out.getvalue() == expected


def test_what_a_format_cannot_hold_is_refused(tmp_path: Path) -> None:
    table = table_of([{"timestamp": 1, "user_id": "a\nb", "prompt_tokens": 1, "completion_tokens": 2}])
    with pytest.raises(ValueError, match="line break"):
        write(table, str(tmp_path / "t.csv"))
    for name in ("t.xls", "t.parquet.gz"):
        with pytest.raises(ValueError, match="format"):
            write(table, str(tmp_path / name))
    write(table, str(tmp_path / "t.jsonl"))
    (batch,) = Files(str(tmp_path / "t.jsonl")).read(Tally())
    assert batch.column("user_id").to_pylist() == ["a\nb"]
