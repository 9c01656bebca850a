"""Lines of JSON to packs: the requests of one group in one tick, as one row of a few columns.

Spark hands rows to Python one by one, so few rows that hold much travel best. A group is one user, or a share of
all users where the job has ``groups``.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from seqdetect.events import MICROSECONDS, Tally
from seqdetect.sequence.requests import REQUEST, Keys, requests
from seqdetect.source.live.reader import Reader
from seqdetect.source.parse.header import KEY, Layout

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

    ``columns`` maps our names to those in the lines, as ``--column`` does; each event is judged by itself, as
    ``seqdetect serve`` does. ``groups`` is 0 for one group per user.
    """

    tick_us: int
    key: str = KEY
    columns: tuple[tuple[str, str], ...] = ()
    groups: int = 0

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        reader = Reader(Layout(key=self.key, columns=dict(self.columns)))
        for batch in batches:
            yield self.packed(batch.column(0), reader)

    def packed(self, lines: pa.Array, reader: Reader) -> pa.RecordBatch:
        """The packs of ``lines`` (binary [n]), and the row that counts them."""
        # Inside a JSON string a line break is written as \\n, so those that stand in a message are white space.
        texts = [line.replace(b"\n", b" ") for line in lines.drop_null().to_pylist()]
        tally, keys = Tally(), Keys()
        table = reader.read(b"\n".join([*texts, b""]), "Spark", tally)
        return _with_counts(self._packs(requests(table, keys), keys.names), tally)

    def _packs(self, events: np.ndarray, names: list[str]) -> pa.RecordBatch:
        group = np.array([self._group(row, name) for row, name in enumerate(names)], np.int64)
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
        users = table.take(pa.array(of_user[run_first]))
        columns = [
            pa.array(called, pa.string()) if self.groups else table.take(pa.array(of_user[first])),
            pa.array((tick[first] + 1) * self.tick_us).cast(SCHEMA.field("closes").type),
            pa.ListArray.from_arrays(_offsets(place[first], len(run_first)), users),
            _records(events, _offsets(first, len(events))),
            *(pa.nulls(len(first), SCHEMA.field(name).type) for name in ("read", "rejected", "example")),
        ]
        return pa.RecordBatch.from_arrays(columns, schema=SCHEMA)

    def _group(self, row: int, name: str) -> int:
        return zlib.crc32(name.encode("utf-8", "surrogatepass")) % self.groups if self.groups else row


def tick_us(tick_s: float) -> int:
    """The tick in microseconds. Raises ``ValueError`` for one that Spark's clock of milliseconds cannot tell."""
    found = round(tick_s * MICROSECONDS)
    if found % 1000:
        raise ValueError(
            f"a tick of {tick_s} s is no whole number of milliseconds, which is all that Spark counts"
        )
    return found


def unpacked(users: list[list[str]], packs: list[bytes], keys: Keys) -> np.ndarray:
    """The requests of several packs; ``user`` is the row in ``keys``, which new users enter."""
    events = np.frombuffer(b"".join(packs), REQUEST).copy()
    begin = np.cumsum([0, *map(len, users)])[:-1]
    rows = keys.rows([name for names in users for name in names])
    lengths = [len(pack) // REQUEST.itemsize for pack in packs]
    events["user"] = rows[events["user"] + np.repeat(begin, lengths)]
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
