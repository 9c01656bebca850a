"""Lines of JSON to packs: the requests of one group in one tick, as one row of a few columns.

Spark hands rows to Python one by one, so few rows that hold much travel best. A group is one user, or a share of
all users where the job has ``groups``.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec
import numpy as np
import pyarrow as pa

from seqdetect.events import MICROSECONDS, OPTIONAL, REQUIRED, Tally
from seqdetect.sequence.requests import REQUEST, Keys, requests
from seqdetect.source.parse import jsonl
from seqdetect.source.parse.header import KEY, Layout
from seqdetect.source.parse.lines import Stream
from seqdetect.source.parse.rows import accept

PACK = "group string, closes timestamp, users array<string>, requests binary, read long, rejected long, example string"
"""``closes``: the tick's end. ``requests``: ``REQUEST`` records whose field ``user`` is a place in ``users``.

Each Arrow batch of lines ends with one row without a group, which alone has the last three columns: lines read,
lines rejected, and the first of these.
"""
SCHEMA = pa.schema(
    [
        ("group", pa.string()),
        ("closes", pa.timestamp("us", "UTC")),
        ("users", pa.list_(pa.string())),
        ("requests", pa.binary()),
        ("read", pa.int64()),
        ("rejected", pa.int64()),
        ("example", pa.string()),
    ]
)


@dataclass(frozen=True)
class Packer:
    """How lines become packs; Spark calls it on record batches of one binary column of lines.

    ``columns`` maps our names to those in the lines, as ``--column`` does. The user is under one name alone, so that
    an event without it is rejected and never filed under another of its fields. ``groups`` is 0 for one group per
    user.
    """

    tick_us: int
    key: str = KEY
    columns: tuple[tuple[str, str], ...] = ()
    groups: int = 0

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        named = dict(self.columns)
        layout = Layout(key=self.key, columns=named)
        user = named.get(self.key, self.key)
        own = [*REQUIRED.names, *OPTIONAL.names]
        head = msgspec.json.encode({user if name == KEY else named.get(name, name): 0 for name in own})
        for batch in batches:
            yield self.packed(batch.column(0), layout, head + b"\n")

    def packed(self, lines: pa.Array, layout: Layout, head: bytes) -> pa.RecordBatch:
        """The packs of ``lines`` (binary [n]), and the row that counts them."""
        texts = [line.replace(b"\n", b" ") for line in lines.drop_null().to_pylist()]
        tally, keys = Tally(), Keys()
        stream = Stream("Spark", head, iter([b"\n".join(texts) + b"\n"]))
        blocks = jsonl.read(stream, layout, max(len(texts), 1))
        parts = [requests(accept(block, layout, tally), keys) for block in blocks]
        events = np.concatenate(parts) if parts else np.zeros(0, REQUEST)
        return _with_counts(self._packs(events, keys.names), tally)

    def _packs(self, events: np.ndarray, names: list[str]) -> pa.RecordBatch:
        group = np.arange(len(names))
        if self.groups:
            group = np.array([zlib.crc32(name.encode("utf-8", "surrogatepass")) % self.groups for name in names])
        tick = events["time"] // self.tick_us
        order = np.lexsort((events["user"], tick, group[events["user"]]))
        events, tick = events[order], tick[order]
        of_user = events["user"].copy()
        of_group = group[of_user]
        pack = _starts(of_group) | _starts(tick)
        run = pack | _starts(of_user)
        first, run_first = np.flatnonzero(pack), np.flatnonzero(run)
        place = np.cumsum(run) - 1
        pack_of = np.cumsum(pack) - 1
        events["user"] = place - place[first][pack_of]
        table = pa.array(names, pa.string())
        called = [str(number) for number in of_group[first].tolist()]
        columns = [
            pa.array(called, pa.string()) if self.groups else table.take(pa.array(of_user[first])),
            pa.array((tick[first] + 1) * self.tick_us).cast(SCHEMA.field("closes").type),
            pa.ListArray.from_arrays(_offsets(place[first], len(run_first)), table.take(pa.array(of_user[run_first]))),
            _records(events, _offsets(first, len(events))),
            *(pa.nulls(len(first), SCHEMA.field(name).type) for name in ("read", "rejected", "example")),
        ]
        return pa.RecordBatch.from_arrays(columns, schema=SCHEMA)


def tick_us(tick_s: float) -> int:
    """The tick in microseconds. Raises ``ValueError`` for one that Spark's clock of milliseconds cannot tell."""
    found = round(tick_s * MICROSECONDS)
    if found % 1000:
        raise ValueError(f"a tick of {tick_s} s is no whole number of milliseconds, which is all that Spark counts")
    return found


def unpacked(users: list[list[str]], packs: list[bytes], keys: Keys) -> np.ndarray:
    """The requests of several packs; ``user`` is the row in ``keys``, which new users enter."""
    parts = [np.frombuffer(pack, REQUEST) for pack in packs]
    events = np.concatenate(parts) if parts else np.zeros(0, REQUEST)
    begin = np.cumsum([0, *(len(names) for names in users)])[:-1]
    rows = keys.rows([name for names in users for name in names])
    events["user"] = rows[events["user"] + np.repeat(begin, [len(part) for part in parts])]
    return events


def _starts(values: np.ndarray) -> np.ndarray:
    first = np.ones(len(values), bool)
    first[1:] = values[1:] != values[:-1]
    return first


def _offsets(starts: np.ndarray, end: int) -> pa.Array:
    return pa.array(np.append(starts, end).astype(np.int32))


def _records(events: np.ndarray, offsets: pa.Array) -> pa.Array:
    """The bytes of ``events`` cut at ``offsets`` (in records)."""
    cuts = pa.array(offsets.to_numpy() * REQUEST.itemsize, pa.int32())
    data = pa.py_buffer(events.tobytes())
    return pa.Array.from_buffers(pa.binary(), len(offsets) - 1, [None, cuts.buffers()[1], data])


def _with_counts(packs: pa.RecordBatch, tally: Tally) -> pa.RecordBatch:
    count = {"read": tally.read, "rejected": sum(tally.rejected.values())}
    row = {**count, "example": tally.examples[0] if tally.examples else None}
    counts = pa.RecordBatch.from_pylist([row], schema=SCHEMA)
    return pa.Table.from_batches([packs, counts]).combine_chunks().to_batches()[0]
