"""What an input can be: lines of JSON and CSV, files, all kinds of damage. Everything follows from one generator."""

from __future__ import annotations

import gzip
import io
import json
import random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

START_S = 1_772_409_600
"""2026-03-02T00:00:00Z."""
SPELLINGS = {
    "timestamp": ["timestamp", "ts", "time", "Timestamp"],
    "user_id": ["user_id", "user", "api_key", "USER_ID"],
    "prompt_tokens": ["prompt_tokens", "input_tokens", "Request tokens"],
    "completion_tokens": ["completion_tokens", "output_tokens"],
    "model": ["model", "Model", "model_name"],
    "client_ip": ["client_ip", "ip"],
    "status": ["status", "status_code"],
    "latency_ms": ["latency_ms"],
    "user_agent": ["user_agent"],
    "endpoint": ["endpoint", "path"],
    "event_id": ["event_id", "id", "request_id"],
}
REQUIRED = ("timestamp", "user_id", "prompt_tokens", "completion_tokens")
ODD: list[Any] = [
    *(None, True, False, [], {}, [1, [2]], {"user_id": "x"}, "", " ", "\0", "\n", "ü", "\u2028", "\ufeff", "💥"),
    *("\ud800", "\udfff\ud800", "a" * 3000, '"', "\\", "'", ",", "null", "NaN", "nan", "inf", "-0", "1e3", "0x1f"),
    *(0, -0.0, -1, 1, 12.0, 12.5, 0.1, 1e15, 2**31, 2**53 + 1, 2**63 - 1, 2**63, 2**64, -(2**70), 10**400),
    *(1e300, 1e-300, float("nan"), float("inf"), -float("inf"), 5e-324, 999_999_999, 1_000_000_001, "1_000", "٣"),
    *(START_S, START_S * 1000, START_S * 10**6, START_S * 10**9, 4_070_908_800, 9_223_372_036, "1970-01-01"),
    *("2099-12-31T23:59:59Z", "2262-04-12", "9999-12-31T23:59:59.999999Z", "0001-01-01T00:00:00Z", "2026-02-30"),
    *("2026-03-02T00:00:60Z", "2026-03-02T10:00:00+25:00", "2026-W10-1", "2026-03-02 10:00:00 UTC", "20260302"),
    *("2026-03-02T10:00:00.123456789Z", "2026-03-02T10:00:00-00:00", "10:00", "now", "1e999", "+5", " 7 ", "7\r"),
]  # fmt: skip
TOKENS = [
    *(b"\0", b"\xff", b"\xfe\xff", b"\xff\xfe", b"\xef\xbb\xbf", b"\x80", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80"),
    *(b"\r", b"\n", b"\r\n", b"\x0b", b"\x1f\x8b", b"PAR1", b'"', b"\\", b"\\u0000", b"\\ud800", b"\\udc00\\ud800", b"\\x"),
    *(b"{", b"}", b"[", b"]", b"{}", b"[]", b":", b",", b";", b"\t", b"'", b"NaN", b"-Infinity", b"1e999", b"-", b"1E"),
    *(b"[" * 3000, b'{"a":' * 1500, b"[" * 200_000, b"9" * 400, b"0" * 400 + b"1", b"." * 9, b'"user_id":"w",', b"//"),
    *(b'""', b'"' * 7, b"null", b"true", b"\xe2\x80\xa8", b"\xf0\x9f\x92\xa5", b" " * 70, b"e" * 9, b"2099-01-01T00:00:00Z"),
]  # fmt: skip


class FailedError(Exception):
    """Something that must hold does not; the case that shows it."""

    def __init__(self, what: str, case: object) -> None:
        super().__init__(what)
        self.case = case


def mutated(data: bytes, rng: random.Random, most: int = 4) -> bytes:
    """``data`` with a few places changed: bytes flipped, cut out, doubled, moved, or tokens put in."""
    out = bytearray(data)
    for _ in range(rng.randint(1, most)):
        place = rng.randrange(len(out) + 1)
        end = min(len(out), place + rng.choice((1, 1, 2, 8, 40)))
        what = rng.randrange(6)
        if what == 0 and place < len(out):
            out[place] ^= 1 << rng.randrange(8)
        elif what == 1:
            del out[place:end]
        elif what == 2:
            out[place:place] = out[place:end]
        elif what == 3:
            out[place:place] = _token(rng)
        elif what == 4:
            out[place:end] = _token(rng)
        else:
            out[place:end] = rng.randbytes(rng.choice((1, 2, 4, 16)))
    return bytes(out)


def _token(rng: random.Random) -> bytes:
    token = rng.choice(TOKENS)
    # the deepest nestings are long, and one in many is enough
    return token if len(token) < 1000 or rng.random() < 0.1 else token[: rng.randint(1, 60)]


def good(rng: random.Random, spelled: bool) -> dict[str, Any]:
    """An event as a gateway logs it; ``spelled``: under any of the accepted names."""
    own: dict[str, Any] = {
        "timestamp": rng.choice((f"2026-03-02T0{rng.randrange(10)}:00:0{rng.randrange(10)}Z", START_S + 0.5)),
        "user_id": f"u{rng.randrange(5)}",
        "prompt_tokens": rng.randrange(2000),
        "completion_tokens": rng.randrange(2000),
    }
    more = {
        "model": "m", "client_ip": "10.0.0.1", "status": 200, "latency_ms": 12.5, "user_agent": "a",
        "endpoint": "/v1", "event_id": f"e{rng.randrange(50)}",
    }  # fmt: skip
    own |= {name: value for name, value in more.items() if rng.random() < 0.3}
    return {(rng.choice(SPELLINGS[name]) if spelled else name): value for name, value in own.items()}


def event(rng: random.Random) -> dict[str, Any]:
    """An event with something wrong in it, or nothing."""
    row = good(rng, spelled=rng.random() < 0.3)
    for _ in range(rng.choice((0, 0, 1, 1, 2, 4))):
        row[rng.choice(SPELLINGS[rng.choice(list(SPELLINGS))])] = rng.choice(ODD)
    if rng.random() < 0.1:
        row.pop(rng.choice(list(row)))
    if rng.random() < 0.2:
        row[rng.choice(("note", "a.b", "", "ü"))] = rng.choice(ODD)
    return row


def json_line(rng: random.Random) -> bytes:
    """One line of JSON, damaged or not; now and then it is several lines."""
    text = json.dumps(event(rng), ensure_ascii=rng.random() < 0.5)
    if rng.random() < 0.5:
        text = text.replace(": ", ":").replace(", ", ",")
    data = text.encode("utf-8", "surrogatepass")
    return mutated(data, rng) if rng.random() < 0.4 else data


CSV_NAMES = (*REQUIRED, "model", "status", "latency_ms", "event_id")


def csv_line(rng: random.Random, delimiter: str = ",") -> bytes:
    """One record, damaged or not."""
    row = event(rng)
    cells = []
    for name in CSV_NAMES:
        value = next((row[one] for one in SPELLINGS[name] if one in row), "")
        text = "" if value is None else str(value)
        quoted = rng.random() < 0.2 or any(mark in text for mark in (delimiter, '"', "\n"))
        cells.append('"' + text.replace('"', '""') + '"' if quoted else text)
    data = delimiter.join(cells).encode("utf-8", "surrogatepass")
    return mutated(data, rng, 2) if rng.random() < 0.4 else data


def whole_file(rng: random.Random) -> tuple[str, bytes]:
    """A suffix and the bytes of a file: good lines, zipped or as Parquet, then damaged anywhere."""
    kind = rng.choice((".jsonl", ".csv", ".jsonl.gz", ".csv.gz", ".parquet", ".parquet", ".jsonl"))
    rows = [good(rng, spelled=False) for _ in range(rng.randint(1, 12))]
    if kind == ".parquet":
        data = _parquet(rows, rng)
    elif "csv" in kind:
        data = b"\n".join([",".join(CSV_NAMES).encode(), *(csv_line(rng) for _ in rows)]) + b"\n"
    else:
        data = b"\n".join(json.dumps(row).encode() for row in rows) + b"\n"
    if rng.random() < 0.3 and kind != ".parquet":
        data = mutated(data, rng)
    if kind.endswith(".gz"):
        data = gzip.compress(data, 1)
    way = rng.random()
    if way < 0.6:
        data = mutated(data, rng)
    elif way < 0.75:
        data = data[: rng.randrange(len(data) + 1)]
    elif way < 0.8:
        data = rng.randbytes(rng.randint(0, 300))
    return kind, data


def _parquet(rows: list[dict[str, Any]], rng: random.Random) -> bytes:
    columns: dict[str, pa.Array] = {}
    for name in (*REQUIRED, "model", "status"):
        values = [row.get(name) for row in rows]
        if rng.random() < 0.2:
            values[rng.randrange(len(values))] = rng.choice(ODD)
        columns[name] = _array(values, rng)
    if rng.random() < 0.05:
        columns.pop(rng.choice(list(columns)))
    file = io.BytesIO()
    try:
        pq.write_table(pa.table(columns), file, compression=rng.choice(("snappy", "none", "zstd", "gzip")))
    except pa.ArrowException:  # not everything can be written
        return b"PAR1"
    return file.getvalue()


def _array(values: list[Any], rng: random.Random) -> pa.Array:
    try:
        found = pa.array(values)
    except (pa.ArrowException, OverflowError, UnicodeEncodeError):
        found = pa.array([str(value).encode("utf-8", "surrogatepass") for value in values], pa.binary())
        # text that is none, as a careless writer leaves it
        return found.view(pa.string()) if rng.random() < 0.5 else found
    other = rng.choice((None, None, pa.large_string(), pa.binary(), pa.float64(), pa.decimal128(38, 9)))
    try:
        return found if other is None else found.cast(other)
    except (pa.ArrowException, OverflowError):
        return found
