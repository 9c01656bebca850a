"""Incident files: all right, or an error with its place."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from seqdetect.incidents import COLUMNS
from seqdetect.source.files import Files

FIXTURES = Path(__file__).resolve().parents[2] / "data" / "fixtures"
HEADER = "incident_id,user_id,start,end,kind,note"
GOOD = "i1,u,2026-01-01T00:00:00Z,1767225660,flood,x"


def read(path: Path) -> object:
    return Files("unused.csv", incidents=str(path)).incidents()


def test_no_file_is_no_labels() -> None:
    assert Files("unused.csv").incidents() is None


def test_the_fixture() -> None:
    frame = Files("unused.csv", incidents=str(FIXTURES / "incidents.csv")).incidents()
    assert frame is not None
    assert list(frame.columns) == [*COLUMNS, "note"]
    assert frame["start"].dtype == "int64"
    assert (frame["end"] > frame["start"]).all()
    assert frame["incident_id"].tolist() == ["i-1", "i-2", "i-2", "i-3"]


def test_every_format_reads_alike(tmp_path: Path) -> None:
    (tmp_path / "i.csv").write_text(f"{HEADER}\n{GOOD}\n")
    row = dict(
        zip(HEADER.split(","), ["i1", "u", 1767225600, "2026-01-01T00:01:00Z", "flood", "x"], strict=True)
    )
    (tmp_path / "i.jsonl").write_text(json.dumps(row))
    stamps = {"start": datetime(2026, 1, 1, tzinfo=UTC), "end": datetime(2026, 1, 1, 0, 1, tzinfo=UTC)}
    pq.write_table(
        pa.table({name: [cell] for name, cell in {**row, **stamps}.items()}), tmp_path / "i.parquet"
    )
    for name in ("i.csv", "i.jsonl", "i.parquet"):
        frame = Files("unused.csv", incidents=str(tmp_path / name)).incidents()
        assert frame is not None
        assert frame.iloc[0].tolist() == ["i1", "u", 1767225600_000_000, 1767225660_000_000, "flood", "x"]


@pytest.mark.parametrize(
    ("line", "place"),
    [
        ("i2,u,soon,1767225660,flood,x", "line 3 field start"),
        ("i2,u,1767225660,1767225600,flood,x", "line 3 field end"),
        ("i2,,1767225600,1767225660,flood,x", "line 3 field user_id"),
        ("i2,u,1767225600,1767225660,,x", "line 3 field kind"),
        ("i1,u,1767225700,1767225760,flood,x", "line 3 field incident_id"),
        ("i2,u,1767225600,1767225660", "line 3: 4 fields"),
        ('i2,"u,1767225600,1767225660,flood,x', "line 3"),
    ],
)
def test_a_bad_row_is_an_error_with_its_place(tmp_path: Path, line: str, place: str) -> None:
    (tmp_path / "i.csv").write_text(f"{HEADER}\n{GOOD}\n{line}\n")
    with pytest.raises(ValueError, match=place):
        read(tmp_path / "i.csv")


def test_missing_columns_are_named_and_an_empty_file_has_no_rows(tmp_path: Path) -> None:
    (tmp_path / "i.csv").write_text("incident_id,user_id,start\n")
    with pytest.raises(ValueError, match=r"missing: \['end', 'kind'\]"):
        read(tmp_path / "i.csv")
    for text in ("", HEADER):
        (tmp_path / "i.csv").write_text(text)
        frame = Files("unused.csv", incidents=str(tmp_path / "i.csv")).incidents()
        assert frame is not None
        assert len(frame) == 0
        assert frame["start"].dtype == "int64"
