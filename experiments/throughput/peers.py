"""The references, in an environment of their own (``peers.txt``): decoders alone, river, PySAD.

    out/throughput/peers/bin/python experiments/throughput/peers.py decode|river|river25|pysad EVENTS.jsonl

Prints one JSON document. Detectors get what their users would give them: each event's tokens, the gap since the user's
last request and the user's requests and tokens so far in the minute; both sizes and gaps in logarithms, scaled to 0..1
for half-space trees, which assume it. Parsing (orjson) is part of a detector's time, as it is of ours.
"""

from __future__ import annotations

import io
import json
import math
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import orjson
import polars as pl
import pyarrow as pa
import pyarrow.json

WARM_EVENTS, EVENTS = 3_000, 30_000
"""Events of a detector's warm-up and of its measure: at a few thousand a second more would take minutes."""

NUMBERS = {"prompt_tokens": int, "completion_tokens": int, "status": int, "latency_ms": float}
TEXTS = ("timestamp", "user_id", "model", "client_ip")


def decoders() -> dict[str, Callable[[bytes], object]]:
    """Each takes JSON lines apart into typed values, and does nothing else."""
    row = msgspec.defstruct("Row", [*((name, str) for name in TEXTS), *NUMBERS.items()], gc=False)
    lines = msgspec.json.Decoder(row).decode_lines
    arrow = {int: pa.int64(), float: pa.float64()}
    schema = pa.schema([(n, pa.string()) for n in TEXTS] + [(n, arrow[t]) for n, t in NUMBERS.items()])
    read = pa.json.ReadOptions(use_threads=False, block_size=1 << 20)
    parse = pa.json.ParseOptions(explicit_schema=schema)
    frame = dict.fromkeys(TEXTS, pl.String) | {
        n: {int: pl.Int64, float: pl.Float64}[t] for n, t in NUMBERS.items()
    }
    return {
        "msgspec lines": lines,
        "orjson": lambda data: [orjson.loads(line) for line in data.splitlines()],
        "pyarrow.json": lambda data: pa.json.read_json(pa.BufferReader(data), read, parse),
        "polars ndjson": lambda data: pl.read_ndjson(io.BytesIO(data), schema=frame),
    }


PIECES = {"256 KB": 1 << 18, "8 MB": 1 << 23, "all": 1 << 40}
"""Bytes decoded at once: what a pipe hands over, a block of the scorer's 65,536 rows, and the whole input."""


def decode(data: bytes) -> dict[str, Any]:
    """CPU seconds of every decoder for all of ``data``, by the size of its pieces, the result of one held at a time."""
    found: dict[str, dict[str, float]] = {}
    for size, limit in PIECES.items():
        pieces = list(_pieces(data, limit))
        for name, decoder in decoders().items():
            decoder(pieces[0][: 1 << 20].rpartition(b"\n")[0])
            begun = time.process_time()
            for piece in pieces:
                decoder(piece)
            found.setdefault(size, {})[name] = time.process_time() - begun
    return {"events": data.count(b"\n"), "cpu_s": found}


def _pieces(data: bytes, size: int) -> Iterator[bytes]:
    begin = 0
    while begin < len(data):
        stop = data.rfind(b"\n", begin, begin + size) + 1
        yield data[begin:stop]
        begin = stop


def features(line: bytes, users: dict[str, list[float]]) -> dict[str, float]:
    """What a river user would make of one event."""
    event = orjson.loads(line)
    now = datetime.fromisoformat(event["timestamp"]).timestamp()
    prompt, completion = event["prompt_tokens"], event["completion_tokens"]
    known = users.get(event["user_id"])
    if known is None:
        known = users[event["user_id"]] = [now, now, 0.0, 0.0]
    gap = now - known[0]
    if now - known[1] > 60:
        known[1:] = [now, 0.0, 0.0]
    known[0] = now
    known[2] += 1
    known[3] += prompt + completion
    return {
        "prompt": min(math.log1p(prompt) / 14, 1.0),
        "completion": min(math.log1p(completion) / 14, 1.0),
        "gap": min(math.log1p(gap) / 14, 1.0),
        "requests": min(math.log1p(known[2]) / 14, 1.0),
        "tokens": min(math.log1p(known[3]) / 18, 1.0),
    }


def river(lines: list[bytes], **settings: int) -> dict[str, Any]:
    """HalfSpaceTrees, with its own defaults (10 trees) or other ``settings``: score, then learn."""
    from river.anomaly import HalfSpaceTrees

    model = HalfSpaceTrees(seed=0, **settings)

    def one(found: dict[str, float]) -> None:
        model.score_one(found)
        model.learn_one(found)

    return _timed(lines, one)


def pysad(lines: list[bytes]) -> dict[str, Any]:
    """LODA with its own defaults, fit and score by event."""
    from pysad.models import LODA

    model = LODA()
    return _timed(lines, lambda found: model.fit_score_partial(np.fromiter(found.values(), float)))


def _timed(lines: list[bytes], one: Callable[[dict[str, float]], object]) -> dict[str, Any]:
    users: dict[str, list[float]] = {}
    for line in lines[:WARM_EVENTS]:
        one(features(line, users))
    begun, wall = time.process_time(), time.perf_counter()
    for line in lines[WARM_EVENTS:]:
        one(features(line, users))
    taken = {"cpu_s": time.process_time() - begun, "wall_s": time.perf_counter() - wall}
    return taken | {"events": len(lines) - WARM_EVENTS}


if __name__ == "__main__":
    what, path = sys.argv[1], Path(sys.argv[2])
    if what == "decode":
        print(json.dumps(decode(path.read_bytes())))
    else:
        with path.open("rb") as file:
            first = [file.readline() for _ in range(WARM_EVENTS + EVENTS)]
        ways = {"river": river, "river25": partial(river, n_trees=25), "pysad": pysad}
        print(json.dumps(ways[what](first)))
