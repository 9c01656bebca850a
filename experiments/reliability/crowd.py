"""Hostile lines among those of ordinary users: what the scorer makes of them, and of damaged checkpoints."""

from __future__ import annotations

import copy
import functools
import json
import random
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import hostile
import numpy as np
import pyarrow as pa

from seqdetect.bundle.load import Bundle, load
from seqdetect.events import Tally
from seqdetect.scorer import Model, Scorer
from seqdetect.sequence.features import Featurizer, Steps
from seqdetect.source.parse import jsonl
from seqdetect.source.parse.header import Layout
from seqdetect.source.parse.lines import Stream
from seqdetect.source.parse.rows import accept

VICTIMS, EVENTS, SPAN_S = 4, 240, 900
FIRST = 40
"""Events of the ordinary users before the first hostile line: time has begun."""
JITTER_S = 4.0
MOVED_US = 5_000_000
"""Time was moved where it stands this far ahead of the ordinary users: some of theirs may be late then."""
ROWS = 15
SEEN: Counter[str] = Counter()


class Watched(Featurizer):
    """Keeps every step, and counts the events of ordinary users and of all."""

    def __init__(self, tick_s: float) -> None:
        super().__init__(tick_s)
        self.events = 0
        self.steps: list[Steps] = []

    def __call__(self, batch: Any, users: int) -> Steps:
        steps = super().__call__(batch, users)
        self.events += len(batch)
        self.steps.append(steps)
        return steps


class Crowd:
    """A scorer whose steps and scores are kept by user and tick."""

    def __init__(self, max_users: int | None = None) -> None:
        self.tally = Tally()
        self.found: dict[tuple[str, int], tuple[bytes, ...]] = {}
        self.scorer = Scorer([Model("handmade", bundle())], self.tally, max_users=max_users, write=self._keep)
        self.stream = self.scorer.lanes[0].stream
        self.watched = self.stream.featurizer = Watched(bundle().metadata.tick_s)
        self.ahead = 0

    def _keep(self, name: str, scored: Any) -> None:
        at = 0
        for steps in self.watched.steps:
            for row in range(len(steps)):
                key = (scored.names[steps.user[row]], int(steps.tick[row]))
                self.found[key] = (steps.features[row].tobytes(), scored.score[at].tobytes())
                at += 1
        self.watched.steps.clear()

    def run(self, data: bytes, rows: int = ROWS) -> None:
        """Parse and score ``data``; ``ahead`` is how far time ran ahead of the ordinary users, microseconds."""
        latest = 0
        for block in jsonl.read(Stream("x", data, iter([data])), Layout(), rows):
            table = accept(block, Layout(), self.tally)
            for start in range(0, table.num_rows, rows):
                part = table.slice(start, rows)
                self.scorer.push(part)
                latest = max(latest, _latest(part))
                if self.stream.clock.latest is not None:
                    self.ahead = max(self.ahead, self.stream.clock.latest - latest)
        self.scorer.flush()

    def ordinary(self) -> dict[tuple[str, int], tuple[bytes, ...]]:
        """What is kept of the ordinary users."""
        return {key: value for key, value in self.found.items() if key[0].startswith("ordinary-")}

    def unaccounted(self) -> int:
        """Rows read that were neither scored, rejected (twice, far ahead), late, nor are waiting."""
        waiting = len(self.stream.pending) + len(self.stream.clock.held)
        gone = sum(self.tally.rejected.values()) + self.tally.late
        return self.tally.read - gone - waiting - self.watched.events


def _latest(table: pa.Table) -> int:
    users = np.array(
        [str(name).startswith("ordinary-") for name in table.column("user_id").to_pylist()], bool
    )
    times = table.column("timestamp").cast(pa.int64()).to_numpy()[users]
    return int(times.max(initial=0))


@functools.cache
def bundle() -> Bundle:
    """The handmade bundle of the tests, which does not read the population."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))
    import handmade

    with tempfile.TemporaryDirectory() as folder:
        return load(handmade.write(Path(folder) / "bundle.onnx"))


@functools.cache
def ordinary() -> tuple[list[tuple[float, bytes]], dict[tuple[str, int], tuple[bytes, ...]]]:
    """Lines of the ordinary users with their times (seconds), in order of arrival, and what comes of them alone."""
    rng = random.Random(1)
    lines = []
    for number in range(EVENTS):
        at = hostile.START_S + number * SPAN_S / EVENTS + rng.uniform(0, JITTER_S)
        row = {
            "timestamp": at, "user_id": f"ordinary-{rng.randrange(VICTIMS)}", "prompt_tokens": rng.randrange(3000),
            "completion_tokens": rng.randrange(3000), "client_ip": f"10.0.0.{rng.randrange(4)}",
            "model": f"m{rng.randrange(3)}", "event_id": f"e{number}", "status": 200,
        }  # fmt: skip
        lines.append((at, json.dumps(row).encode()))
    alone = Crowd()
    alone.run(b"\n".join(line for _, line in lines) + b"\n")
    assert alone.tally.late == 0
    assert alone.unaccounted() == 0
    return lines, alone.ordinary()


def _hostile_line(rng: random.Random, now: float, far: bool, earlier: list[bytes]) -> bytes:
    way = rng.random()
    if way < 0.1:
        return rng.choice(earlier)  # a replay, byte by byte
    row = hostile.good(rng, spelled=False) if way < 0.45 else hostile.event(rng)
    if way < 0.2:  # a replay under one's own name
        row |= {name: json.loads(rng.choice(earlier))[name] for name in ("event_id", "timestamp")}
    elif way < 0.7:
        row["timestamp"] = now - rng.choice((0, 0, 0, 1, 5, 9, 30, 3600, 10**9))
    elif far:
        row["timestamp"] = rng.choice(
            (4_070_908_800 + rng.randrange(100), 0, now + 1e5, now + 5e6, 9_200_000_000)
        )
    if rng.random() < 0.8:
        row["user_id"] = rng.choice(
            ("h", "h1", "ordinary", f"flood-{rng.random()}", "ordinary\u200b-1", "\ud800")
        )
    elif str(row.get("user_id", "")).startswith("ordinary-"):
        row["user_id"] = "h"
    if way > 0.9:
        return hostile.mutated(json.dumps(row).encode(), rng)
    return json.dumps(row).encode()


def crowd(rng: random.Random, count: int) -> int:
    """One stream with hostile lines; their number. Raises ``FailedError`` where others are touched or rows are lost."""
    lines, expected = ordinary()
    bounded = rng.random() < 0.2
    far, share = rng.random() < 0.5, rng.choice((0.1, 0.3, 1.0))
    burst = rng.choice((1, 1, 1, 10, 40))
    out: list[bytes] = []
    sent = 0
    for number, (at, line) in enumerate(lines):
        out.append(line)
        if number < FIRST or sent >= count:
            continue
        for _ in range((burst if rng.random() < 0.1 else 1) if rng.random() < share else 0):
            out.append(_hostile_line(rng, at, far, [one for _, one in lines[: number + 1]]))
            sent += 1
    data = b"\n".join(out) + b"\n"
    one = Crowd(max_users=rng.randint(1, 20) if bounded else None)
    one.run(data, rng.choice((3, ROWS, 100)))
    if one.unaccounted():
        raise hostile.FailedError(f"{one.unaccounted()} rows are unaccounted for", data)
    moved = one.ahead > MOVED_US
    SEEN.update(moved=moved, late=one.tally.late, rejected=sum(one.tally.rejected.values()))
    if not moved and not bounded:
        SEEN.update(compared=len(expected), scored=one.watched.events - EVENTS)
        if one.ordinary() != expected:
            raise hostile.FailedError("scores of others are not the same", (one.tally, data))
    return max(sent, 1)


@functools.cache
def checkpoint() -> bytes:
    """The file that a scorer of ordinary users leaves."""
    one = Crowd()
    one.run(b"\n".join(line for _, line in ordinary()[0][:100]) + b"\n")
    with tempfile.TemporaryDirectory() as folder:
        one.scorer.save(Path(folder) / "c", {"events": 100})
        return (Path(folder) / "c").read_bytes()


def loaded(data: bytes) -> bool:
    """Whether a scorer takes up the checkpoint ``data``."""
    scorer = Scorer([Model("handmade", bundle())], Tally())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "c"
        path.write_bytes(data)
        try:
            scorer.load(path)
        except ValueError:
            return False
    return True


def redocumented(data: bytes, rng: random.Random) -> bytes:
    """The checkpoint without its checksum, something in its document replaced or left out."""
    magic, text, rest = data[:-32].split(b"\n", 2)
    head = json.loads(text)
    node: Any = head
    while True:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        key = rng.choice(keys)
        if isinstance(node[key], dict | list) and node[key] and rng.random() < 0.8:
            node = node[key]
            continue
        if rng.random() < 0.3:
            del node[key]
        else:
            node[key] = copy.deepcopy(rng.choice(hostile.ODD))
        break
    return b"\n".join((magic, json.dumps(head).encode(), rest))
