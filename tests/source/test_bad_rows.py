"""Every way in which a row can be wrong costs that row alone, is counted, and is named by line and field."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from seqdetect import events
from seqdetect.events import Tally
from seqdetect.source.files import Files

FIXTURES = Path(__file__).resolve().parents[2] / "data" / "fixtures"
HEADER = "timestamp,user_id,prompt_tokens,completion_tokens"


def load(source: object, **options: object) -> tuple[pa.Table, Tally]:
    tally = Tally()
    return events.concat(Files(source, **options).read(tally)), tally


def written(folder: Path, text: str | bytes, name: str = "file.csv") -> str:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return str(path)


def row(cells: str, header: str = HEADER) -> str:
    return f"{header}\n2026-01-01T00:00:00Z,first,1,2\n{cells}\n2026-01-01T00:00:09Z,last,3,4\n"


def users(table: pa.Table) -> list[str]:
    return table.column("user_id").to_pylist()


BAD_CELLS = {
    ",u,1,2": ("missing_value", "timestamp"),
    "soon,u,1,2": ("bad_timestamp", "timestamp"),
    "2026-13-01T00:00:00Z,u,1,2": ("bad_timestamp", "timestamp"),
    "1969-12-31T23:59:59Z,u,1,2": ("bad_timestamp", "timestamp"),
    "2300-01-01T00:00:00Z,u,1,2": ("bad_timestamp", "timestamp"),
    "-5,u,1,2": ("bad_timestamp", "timestamp"),
    "nan,u,1,2": ("bad_timestamp", "timestamp"),
    "0x10,u,1,2": ("bad_timestamp", "timestamp"),
    "2026-01-01T00:00:01Z,,1,2": ("empty_user", "user_id"),
    "2026-01-01T00:00:01Z,  ,1,2": ("empty_user", "user_id"),
    "2026-01-01T00:00:01Z,u,,2": ("missing_value", "prompt_tokens"),
    "2026-01-01T00:00:01Z,u,1,": ("missing_value", "completion_tokens"),
    "2026-01-01T00:00:01Z,u,12.5,2": ("not_an_integer", "prompt_tokens"),
    "2026-01-01T00:00:01Z,u,abc,2": ("not_an_integer", "prompt_tokens"),
    "2026-01-01T00:00:01Z,u,NaN,2": ("not_an_integer", "prompt_tokens"),
    "2026-01-01T00:00:01Z,u,1,inf": ("not_an_integer", "completion_tokens"),
    "2026-01-01T00:00:01Z,u,true,2": ("not_an_integer", "prompt_tokens"),
    "2026-01-01T00:00:01Z,u,0x10,2": ("not_an_integer", "prompt_tokens"),
    "2026-01-01T00:00:01Z,u,1_0,2": ("not_an_integer", "prompt_tokens"),
    "2026-01-01T00:00:01Z,u,-1,2": ("negative_tokens", "prompt_tokens"),
    "2026-01-01T00:00:01Z,u,1000000001,2": ("absurd_tokens", "prompt_tokens"),
    "2026-01-01T00:00:01Z,u,1,99999999999999999999": ("absurd_tokens", "completion_tokens"),
}


@pytest.mark.parametrize(("cells", "verdict"), BAD_CELLS.items())
def test_a_bad_csv_cell_costs_its_row_and_is_named(
    tmp_path: Path, cells: str, verdict: tuple[str, str]
) -> None:
    table, tally = load(written(tmp_path, row(cells)))
    assert users(table) == ["first", "last"]
    assert tally.rejected == {verdict[0]: 1}
    assert tally.read == 3
    assert f"file.csv line 3 field {verdict[1]}" in tally.examples[0]


BAD_LINES = {
    "fields": b"2026-01-01T00:00:01Z,u,1",
    "too many": b"2026-01-01T00:00:01Z,u,1,2,3",
    "quote left open": b'2026-01-01T00:00:01Z,"u,1,2',
    "quote left open between two": b'2026-01-01T00:00:01Z,a"b,"1,2',
    "quote closed early": b'2026-01-01T00:00:01Z,"u"x"",1,2',
    "UTF-8": b"2026-01-01T00:00:01Z,\xc3\x28,1,2",
    "NUL": b"2026-01-01T00:00:01Z,u\x00,1,2",
    "carriage return": b"2026-01-01T00:00:01Z,u\r,1,2",
    "long": b"2026-01-01T00:00:01Z," + b"u" * (1 << 20) + b",1,2",
    "longer than a block": b"u" * (9 << 20),
}


@pytest.mark.parametrize("name", BAD_LINES)
@pytest.mark.parametrize("chunk_rows", [20, 65_536])
def test_a_malformed_csv_line_costs_that_line_alone(tmp_path: Path, name: str, chunk_rows: int) -> None:
    text = b"\n".join(row("MARK").encode().split(b"\n")).replace(b"MARK", BAD_LINES[name])
    table, tally = load(written(tmp_path, text), chunk_rows=chunk_rows)
    assert users(table) == ["first", "last"]
    assert tally.rejected == {"malformed_line": 1}
    assert "file.csv line 3: " in tally.examples[0]


def json_row(**cells: str) -> str:
    """One JSON object from cells given as JSON; an empty one is left out."""
    row = {
        "timestamp": "1767225601",
        "user_id": '"u"',
        "prompt_tokens": "1",
        "completion_tokens": "2",
        **cells,
    }
    return "{" + ", ".join(f'"{name}": {cell}' for name, cell in row.items() if cell) + "}"


BAD_JSON = {
    json_row()[:-1]: ("malformed_line", ""),
    '["timestamp"]': ("malformed_line", ""),
    "17": ("malformed_line", ""),
    '{"a": 1}{"b": 2}': ("malformed_line", ""),
    "[" * 5_000: ("malformed_line", ""),
    json_row(status="1" * 400 + "e999"): ("malformed_line", ""),
    json_row(user_id='"\\ud800"'): ("malformed_line", ""),
    json_row(completion_tokens=""): ("missing_value", "completion_tokens"),
    json_row(timestamp="null"): ("missing_value", "timestamp"),
    json_row(timestamp="true"): ("bad_timestamp", "timestamp"),
    json_row(user_id='""'): ("empty_user", "user_id"),
    json_row(user_id="null", client_ip='"10.0.0.1"'): ("empty_user", "user_id"),
    json_row(prompt_tokens="true"): ("not_an_integer", "prompt_tokens"),
    json_row(prompt_tokens='{"n": 1}'): ("not_an_integer", "prompt_tokens"),
    json_row(prompt_tokens="1.5"): ("not_an_integer", "prompt_tokens"),
    json_row(prompt_tokens="-3"): ("negative_tokens", "prompt_tokens"),
    json_row(completion_tokens=str(2**64)): ("absurd_tokens", "completion_tokens"),
}


@pytest.mark.parametrize(("line", "verdict"), BAD_JSON.items(), ids=range(len(BAD_JSON)))
def test_a_bad_json_line_costs_that_line_alone(tmp_path: Path, line: str, verdict: tuple[str, str]) -> None:
    good = '{"timestamp": 1767225600, "user_id": "%s", "prompt_tokens": 1, "completion_tokens": 2}'
    path = written(tmp_path, f"{good % 'first'}\n\n{line}\n   \n{good % 'last'}", "file.jsonl")
    table, tally = load(path)
    assert users(table) == ["first", "last"]
    assert tally.rejected == {verdict[0]: 1}
    assert tally.read == 3
    field = f" field {verdict[1]}" if verdict[1] else ": "
    assert f"file.jsonl line 3{field}" in tally.examples[0]


def test_bad_parquet_rows_are_named_by_row(tmp_path: Path) -> None:
    path = str(tmp_path / "file.parquet")
    cells = {
        "timestamp": pa.array([0, 1, None, 3, 4], pa.timestamp("ns")),
        "user_id": ["a", None, "c", "d", "e"],
        "prompt_tokens": [1.0, 2.0, 3.0, float("nan"), 5.0],
        "completion_tokens": pa.array([1, 2, 3, 4, 2**63], pa.uint64()),
    }
    pq.write_table(pa.table(cells), path)
    table, tally = load(path, chunk_rows=2)
    assert users(table) == ["a"]
    assert tally.rejected == {"empty_user": 1, "missing_value": 1, "not_an_integer": 1, "absurd_tokens": 1}
    assert [f"file.parquet row {number} field" in text for number, text in enumerate(tally.examples, 2)] == [
        True
    ] * 4


def test_the_hostile_fixture_loses_exactly_its_bad_rows() -> None:
    table, tally = load(str(FIXTURES / "hostile.csv"))
    assert users(table) == ["ana", "ben", 'b,e"n', "ben", "א"]
    assert tally.read == 22
    assert tally.rejected["malformed_line"] == 6
    assert sum(tally.rejected.values()) == 17
    assert table.column("status").to_pylist() == [200, None, 200, 500, 200]
