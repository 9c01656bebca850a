"""Scores on disk: two formats, whole groups of rows, nothing lost at the end."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from seqdetect.score import writer
from seqdetect.score.engine import Scored


def scored(tick: int) -> Scored:
    return Scored(
        np.zeros(1, np.int32),
        ["a"],
        np.array([tick * 10_000_000]),
        np.ones(1, np.float32),
        np.zeros(1, np.int8),
        np.ones((1, 2), np.int64),
    )


def test_a_live_stream_does_not_make_a_row_group_per_tick(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "GROUP_ROWS", 10)
    out = writer.ScoreWriter(tmp_path / "s.parquet")
    for tick in range(25):
        out.write(scored(tick))
    out.close()
    file = pq.ParquetFile(tmp_path / "s.parquet")
    assert (file.num_row_groups, file.metadata.num_rows) == (3, 25)


def test_csv_is_on_disk_at_once(tmp_path: Path) -> None:
    out = writer.ScoreWriter(tmp_path / "s.csv")
    out.write(scored(1))
    assert "1970-01-01T00:00:10.000000Z" in (tmp_path / "s.csv").read_text()
    out.close()


@pytest.mark.parametrize("name", ["s.txt", "s", "s.csv.gz"])
def test_other_formats_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=r"\.csv or \.parquet"):
        writer.ScoreWriter(tmp_path / name)
