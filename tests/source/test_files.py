"""Files in every format and spelling; ``test_bad_rows`` has what is wrong inside them."""

from __future__ import annotations

import gzip
import io
import logging
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from seqdetect import events
from seqdetect.events import Tally
from seqdetect.source.files import Files
from seqdetect.source.write import write

FIXTURES = Path(__file__).resolve().parents[2] / "data" / "fixtures"
HEADER = "timestamp,user_id,prompt_tokens,completion_tokens"


def load(source: object, **options: object) -> tuple[pa.Table, Tally]:
    tally = Tally()
    return events.concat(Files(source, **options).read(tally)), tally


def written(folder: Path, text: str | bytes, name: str = "file.csv") -> str:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return str(path)


def users(table: pa.Table) -> list[str]:
    return table.column("user_id").to_pylist()


def micros(table: pa.Table) -> list[int]:
    return table.column("timestamp").cast(pa.int64()).to_pylist()


@pytest.mark.parametrize("name", ["hostile.csv", "requests.csv", "requests.jsonl", "burstgpt.csv"])
@pytest.mark.parametrize("chunk_rows", [1, 2, 7, 64])
def test_the_size_of_the_blocks_does_not_show(name: str, chunk_rows: int) -> None:
    path = str(FIXTURES / name)
    whole, tally = load(path)
    table, parts = load(path, chunk_rows=chunk_rows)
    assert table.equals(whole)
    assert parts == tally
    assert max(batch.num_rows for batch in Files(path, chunk_rows=chunk_rows).read(Tally())) <= chunk_rows


@pytest.mark.parametrize("name", ["hostile.csv", "requests.jsonl"])
def test_gzip_and_stdin_read_as_the_file(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (FIXTURES / name).read_bytes()
    expected, _ = load(str(FIXTURES / name))
    zipped = written(tmp_path, gzip.compress(text[:500]) + gzip.compress(text[500:]), f"{name}.gz")
    assert load(zipped)[0].equals(expected)
    for given in (text, gzip.compress(text)):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given)))
        table, tally = load("-")
        assert table.equals(expected)
        assert all(example.startswith("stdin line") for example in tally.examples)


def test_a_live_pipe_is_read_as_it_comes() -> None:
    code = (
        "from seqdetect.source.files import Files; from seqdetect.events import Tally\n"
        "for batch in Files('-').read(Tally()): print(batch.num_rows, flush=True)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    ) as reader:
        assert reader.stdin is not None
        assert reader.stdout is not None
        reader.stdin.write(f"{HEADER}\n1767225600,a,1,2\n1767225601,a,1".encode())
        assert reader.stdout.readline() == b"1\n"
        reader.stdin.write(b",2\n1767225602,a,1,2\n")
        assert reader.stdout.readline() == b"2\n"
        reader.stdin.close()
        assert reader.wait() == 0


def test_a_cut_gzip_keeps_what_came_before(tmp_path: Path) -> None:
    text = (FIXTURES / "requests.csv").read_bytes()
    table, tally = load(written(tmp_path, gzip.compress(text)[:-900], "cut.csv.gz"))
    assert 0 < table.num_rows < 200
    assert tally.rejected == {"malformed_line": 1}
    assert "cut off" in tally.examples[0]


def test_times_of_every_spelling_in_one_column(tmp_path: Path) -> None:
    spellings = [
        "1767225600",
        "1767225600.25",
        "1767225600250",
        "1767225600250000",
        "1767225600250000123",
        "2026-01-01T00:00:00Z",
        "2026-01-01 00:00:00.250",
        "2026-01-01T01:00:00+01:00",
        "2026-01-01 00:00:00 UTC",
        "20260101T000000Z",
        "2026-01-01",
        " 1767225600 ",
    ]
    text = "\n".join([HEADER, *(f"{spelling},u,1,2" for spelling in spellings)])
    table, tally = load(written(tmp_path, text))
    assert not tally.rejected
    quarter = {1, 2, 3, 4, 6}
    expected = [1767225600_000_000 + 250_000 * (index in quarter) for index in range(len(spellings))]
    assert micros(table) == expected


def test_zone_unit_and_epoch_can_be_set(tmp_path: Path) -> None:
    path = written(tmp_path, f"{HEADER}\n2026-07-01T12:00:00,u,1,2\n2026-01-01T12:00:00,u,1,2\n")
    table, _ = load(path, timezone="Europe/Berlin")
    assert micros(table) == [1782900000_000_000, 1767265200_000_000]
    counted = written(tmp_path, f"{HEADER}\n0,u,1,2\n1.5,u,1,2\n", "counted.csv")
    assert micros(load(counted, epoch="2026-01-01T00:00:00Z")[0]) == [1767225600_000_000, 1767225601_500_000]
    millis = load(counted, epoch="2026-01-01T00:00:00Z", timestamp_unit="ms")[0]
    assert micros(millis) == [1767225600_000_000, 1767225600_001_500]
    assert micros(load(counted, timestamp_unit="s")[0]) == [0, 1_500_000]


def test_settings_that_make_no_sense_are_refused_at_once() -> None:
    for options in (
        {"timezone": "Mars/Base"},
        {"timestamp_unit": "min"},
        {"epoch": "day one"},
        {"chunk_rows": 0},
        {"columns": {"tokens": "n"}},
        {"key": "tenant", "columns": {"user_id": "who"}},
    ):
        with pytest.raises(ValueError, match=r"\w"):
            Files("x.csv", **options)


def test_names_and_keys(tmp_path: Path) -> None:
    header = "TS,End_User,client_ip,Request tokens,gen_ai.usage.output_tokens,Model"
    text = f"{header}\n1767225600,u,10.0.0.1,3,4,m\n"
    path = written(tmp_path, text)
    table, _ = load(path)
    assert table.column_names == [
        "timestamp",
        "user_id",
        "prompt_tokens",
        "completion_tokens",
        "model",
        "client_ip",
    ]
    assert users(table) == ["u"]
    assert users(load(path, key="model")[0]) == ["m"]
    assert users(load(path, columns={"user_id": "Model"})[0]) == ["m"]
    address = written(tmp_path, "ts,client_ip,input_tokens,output_tokens\n1767225600,10.0.0.1,3,4\n", "a.csv")
    table, _ = load(address)
    assert (users(table), table.column("client_ip").to_pylist()) == (["10.0.0.1"], ["10.0.0.1"])
    nobody = written(tmp_path, "ts;input_tokens;output_tokens\r\n1767225600;3;4\r\n", "n.csv")
    assert users(load(nobody)[0]) == ["all"]
    with pytest.raises(ValueError, match="key 'tenant'"):
        load(nobody, key="tenant")


def test_optional_columns_become_null_where_they_are_bad(tmp_path: Path) -> None:
    header = f"{HEADER},status,latency_ms,model,event_id"
    text = f"{header}\n0,u,1,2,200,1.5,m,e\n0,u,1,2,abc,-,,\n0,u,1,2,200.0,inf,m,\n0,u,1,2,99999,-3,m,f\n"
    table, tally = load(written(tmp_path, text))
    assert not tally.rejected
    assert table.column("status").to_pylist() == [200, None, 200, None]
    assert table.column("latency_ms").to_pylist() == [1.5, None, None, None]
    assert table.column("model").to_pylist() == ["m", None, "m", "m"]
    assert table.column("event_id").to_pylist() == ["e", None, None, "f"]


def test_json_keys_may_come_late_and_ids_may_be_numbers(tmp_path: Path) -> None:
    text = (
        '{"ts": 1767225600, "user": 42, "input_tokens": "12", "output_tokens": 12.0, "extra": [1]}\n'
        '{"ts": "2026-01-01T00:00:00Z", "user": "x", "prompt_tokens": 7, "output_tokens": 1, '
        '"status_code": 500}\n'
    )
    table, tally = load(written(tmp_path, text, "file.ndjson"))
    assert not tally.rejected
    assert users(table) == ["42", "x"]
    assert table.column("prompt_tokens").to_pylist() == [12, 7]
    assert table.column("status").to_pylist() == [None, 500]
    assert micros(table) == [1767225600_000_000] * 2


def test_a_byte_order_mark_and_blank_lines_do_not_count(tmp_path: Path) -> None:
    table, tally = load(written(tmp_path, f"\ufeff\n\n{HEADER}\n\n0,u,1,2\n\n-,u,1,2\n"))
    assert (users(table), tally.read) == (["u"], 2)
    assert "line 7" in tally.examples[0]


@pytest.mark.parametrize(
    ("name", "text"),
    [("a.csv", ""), ("b.csv", HEADER), ("a.jsonl", "\n"), ("a.parquet", ""), ("a.csv.gz", "")],
)
def test_an_empty_file_has_no_rows_and_says_so(
    tmp_path: Path, name: str, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        table, tally = load(written(tmp_path, text, name))
    assert (table.num_rows, tally.read) == (0, 0)
    assert "holds no events" in caplog.text


def test_what_is_no_event_file_is_refused_with_a_reason(tmp_path: Path) -> None:
    wrong = {
        "a.csv": ("when,user,prompt_tokens,completion_tokens\n1,u,1,2\n", "no column for 'timestamp'"),
        "b.csv": ("timestamp,user,promt_tokens,output_tokens\n", "did you mean 'promt_tokens'"),
        "c.jsonl": ('{"ts": 1, "input_tokens": 3}\n', "no column for 'completion_tokens'"),
        "d.json": ('[{"ts": 1}]', "JSON array"),
        "e.csv": (HEADER.encode("utf-16"), "UTF-16"),
        "f.parquet": ("not parquet", "Parquet"),
        "g.txt": ("x", "unknown format"),
        "h.csv": (HEADER.replace("\n", "\r") + "\r1,u,1,2", "carriage returns alone"),
    }
    for name, (text, reason) in wrong.items():
        with pytest.raises(ValueError, match=reason):
            load(written(tmp_path, text, name))
    with pytest.raises(IsADirectoryError, match="folder"):
        load(str(tmp_path))
    for nothing in (str(tmp_path / "*.nope"), str(tmp_path / "nope.csv"), []):
        with pytest.raises(FileNotFoundError):
            load(nothing)


def test_a_glob_and_a_list_of_formats_are_one_stream(tmp_path: Path) -> None:
    table, _ = load(str(FIXTURES / "requests.jsonl"))
    for index, name in enumerate(["a.csv", "b.parquet", "c.jsonl.gz"]):
        write(table.take(list(range(index, table.num_rows, 3))), str(tmp_path / name))
    parts = [str(tmp_path / name) for name in ("c.jsonl.gz", "b.parquet", "a.csv")]
    assert load(parts)[0].to_pylist() == table.to_pylist()
    assert load(parts, chunk_rows=5)[0].to_pylist() == table.to_pylist()
    for number in range(3):
        write(table.slice(number * 40, 40), str(tmp_path / f"day-{2 - number}.csv"))
    assert load(str(tmp_path / "day-*.csv"))[0].to_pylist() == table.to_pylist()


def test_the_service_is_one_user_whoever_sent_it(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(
        "timestamp,user_id,service,prompt_tokens,completion_tokens\n1,a,x,1,2\n2,,y,3,4\n3,b,x,5,6\n"
    )
    tally = Tally()
    (table,) = Files(str(path), key="service").read(tally)
    assert table.column("user_id").to_pylist() == ["service"] * 3
    assert not tally.rejected
    path.write_text("timestamp,prompt_tokens,completion_tokens\n1,1,2\n2,3,4\n")
    (table,) = Files(str(path), key="service").read(Tally())
    assert table.column("user_id").to_pylist() == ["service"] * 2
    path.write_text("timestamp,service,prompt_tokens,completion_tokens\n1,x,1,2\n2,y,3,4\n")
    (table,) = Files(str(path), columns={"user_id": "service"}).read(Tally())
    assert table.column("user_id").to_pylist() == ["x", "y"]
