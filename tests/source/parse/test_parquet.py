"""Rows of a Parquet file: what is no text is a bad row, not the end of the file."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from seqdetect.events import Tally, concat
from seqdetect.source.files import Files

ROWS = {
    "timestamp": [b"2026-03-02T00:00:00Z"] * 4,
    "user_id": [b"a", b"b", b"c", None],
    "prompt_tokens": [1, 2, 3, 4],
    "completion_tokens": [1, 2, 3, 4],
    "model": [b"m", b"m", None, b"m"],
}
BINARY = {pa.string(): pa.binary(), pa.large_string(): pa.large_binary(), pa.string_view(): pa.binary_view()}


@pytest.mark.parametrize("column", ["timestamp", "user_id", "model"])
@pytest.mark.parametrize("kind", BINARY)
@pytest.mark.parametrize("coded", [False, True])
def test_a_cell_that_is_no_text_is_a_bad_row(tmp_path, column, kind, coded):
    if coded and kind == pa.string_view():
        pytest.skip("Arrow does not encode these")
    arrays = {}
    for name, values in ROWS.items():
        cells = [b"\xff\xfe" if name == column and row == 1 else value for row, value in enumerate(values)]
        text = isinstance(cells[0], bytes)
        arrays[name] = pa.array(cells, BINARY[kind]).view(kind) if text else pa.array(cells)
    if coded:
        arrays[column] = arrays[column].dictionary_encode()
    pq.write_table(pa.table(arrays), tmp_path / "x.parquet")
    tally = Tally()
    table = concat(Files(str(tmp_path / "x.parquet")).read(tally))
    assert table.column("user_id").to_pylist() == ["a", "c"]
    assert table.column("model").to_pylist() == ["m", None]
    assert (tally.read, tally.rejected) == (4, {"malformed_line": 1, "empty_user": 1})
    assert any("row 2: not UTF-8" in example for example in tally.examples)


def test_damage_that_arrow_knows_no_reading_of_is_refused(tmp_path):
    pq.write_table(pa.table({"timestamp": ["2026-03-02"], "prompt_tokens": [1]}), tmp_path / "x.parquet")
    data = (tmp_path / "x.parquet").read_bytes()
    begin = data.index(b"ARROW:schema")
    messages = set()
    for place in range(begin + len(b"ARROW:schema"), len(data) - 8):
        (tmp_path / "y.parquet").write_bytes(data[:place] + b"B" + data[place + 1 :])
        messages.add(refusal(tmp_path / "y.parquet"))
    assert any("not implemented" in message for message in messages)


def refusal(path: Path) -> str:
    with pytest.raises(ValueError, match=r"y\.parquet") as caught:
        list(Files(str(path)).read(Tally()))
    return str(caught.value)


def test_a_column_whose_name_is_no_text_is_refused_with_the_file(tmp_path):
    pq.write_table(pa.table({"timestamp": [1], "no_text": [1]}), tmp_path / "y.parquet", store_schema=False)
    data = (tmp_path / "y.parquet").read_bytes()
    (tmp_path / "y.parquet").write_bytes(data.replace(b"no_text", b"no\xfftext"[:7]))
    assert "not a readable Parquet file" in refusal(tmp_path / "y.parquet")
