"""The columns of an event table as one numpy record array, keys and names replaced by numbers."""

from __future__ import annotations

import hashlib
import socket
import zlib
from collections.abc import Callable, Iterable
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

REQUEST = np.dtype(
    [
        ("time", "<i8"),  # microseconds since the epoch
        ("user", "<i4"),  # row of the key table
        ("prompt", "<i8"),  # tokens
        ("completion", "<i8"),  # tokens
        ("address", "<u8"),  # hash, 0 where unknown
        ("model", "<u8"),  # hash, 0 where unknown
        ("error", "i1"),  # 2 for a status of 500 and above, 1 from 400 on, 0 below, -1 where unknown
        ("latency", "<f8"),  # milliseconds, NaN where unknown
        ("event_id", "<u8"),  # hash of id and user, 0 where unknown
        ("network", "<u2"),  # hash of the address's network, 0 where unknown
        ("agent", "<u2"),  # hash of the user agent, 0 where unknown
        ("endpoint", "<u2"),  # hash, 0 where unknown
    ]
)
"""One request. Strings are hashes: the engine only ever asks whether two are equal, or how many differ."""
SHORT: Final = 65_535
"""Different 16-bit hashes, 0 left out."""

KNOWN_HASHES: Final = 1 << 20
"""Hashes of strings that are remembered at most; then they are worked out anew."""


class Keys:
    """The key table: user names and the row of each, in the order of appearance; rows that are freed are used again."""

    def __init__(self, names: Iterable[str | None] = ()) -> None:
        self.names: list[str] = [name or "" for name in names]
        """Name of each row; that of a free row says nothing."""
        self.free = [row for row, name in enumerate(names) if name is None]
        self._row = {name: row for row, name in enumerate(self.names) if name}
        self.hashes: dict[str, int] = {}
        self.networks: dict[str, int] = {}
        self._digests: NDArray[np.uint64] = np.zeros(0, np.uint64)

    def __len__(self) -> int:
        """Rows, free ones included."""
        return len(self.names)

    @property
    def used(self) -> int:
        """Rows that are a user's."""
        return len(self._row)

    def rows(self, names: list[str]) -> NDArray[np.int32]:
        """The row of each name; unknown names get a free row or a new one."""
        found = np.empty(len(names), np.int32)
        known = self._row
        for i, name in enumerate(names):
            row = known.get(name)
            found[i] = self._enter(name) if row is None else row
        return found

    def find(self, name: str) -> int | None:
        """The row of ``name``, None where it is unknown."""
        return self._row.get(name)

    def _enter(self, name: str) -> int:
        if self.free:
            row = self.free.pop()
            self.names[row] = name
            self._digests[row : row + 1] = 0
        else:
            row = len(self.names)
            self.names.append(name)
        self._row[name] = row
        return row

    def digests(self, rows: NDArray[np.int32]) -> NDArray[np.uint64]:
        """A stable 64-bit hash of the name of each of ``rows`` [n]."""
        if len(self._digests) < len(self):
            room = np.zeros(max(len(self), 2 * len(self._digests)), np.uint64)
            room[: len(self._digests)] = self._digests
            self._digests = room
        for row in np.unique(rows[self._digests[rows] == 0]).tolist():
            self._digests[row] = digest(self.names[row])
        return self._digests[rows]

    def drop(self, rows: list[int]) -> None:
        """Free ``rows``: their users are forgotten."""
        for row in rows:
            del self._row[self.names[row]]
        self.free.extend(rows)

    def table(self) -> list[str | None]:
        """Name of each row, None for a free one: what a new table is made from."""
        names: list[str | None] = list(self.names)
        for row in self.free:
            names[row] = None
        return names


def requests(table: pa.Table, keys: Keys) -> NDArray[np.void]:
    """The rows of an event table as ``REQUEST`` records ``[n]``; new users enter ``keys``."""
    out = np.zeros(table.num_rows, REQUEST)
    out["error"] = -1
    out["latency"] = np.nan
    if table.num_rows == 0:
        return out
    out["time"] = table.column("timestamp").cast(pa.int64()).to_numpy()
    out["user"] = _users(table.column("user_id"), keys)
    out["prompt"] = table.column("prompt_tokens").to_numpy()
    out["completion"] = table.column("completion_tokens").to_numpy()
    present = table.column_names
    if "model" in present:
        codes, hashes, _ = _hashes(table.column("model"), keys.hashes)
        out["model"] = hashes[codes]
    if "client_ip" in present:
        codes, hashes, addresses = _hashes(table.column("client_ip"), keys.hashes)
        out["address"] = hashes[codes]
        out["network"] = _networks(addresses, hashes, keys.networks)[codes]
    for column, name in (("user_agent", "agent"), ("endpoint", "endpoint")):
        if column in present:
            codes, hashes, _ = _hashes(table.column(column), keys.hashes)
            out[name] = _short(hashes)[codes]
    if "event_id" in present:
        # each user's apart: an id may be the client's choice, and must not make another's event one that came twice
        codes, hashes, _ = _hashes(
            table.column("event_id"), {}
        )  # hardly any id is met again: not worth remembering
        ids = hashes[codes]
        if ids.any():
            out["event_id"] = np.where(ids == 0, ids, (ids ^ keys.digests(out["user"])) | np.uint64(1))
    if "status" in present:
        status = table.column("status").cast(pa.int32()).fill_null(-1).to_numpy()
        out["error"] = np.where(status < 0, -1, (status >= 400).astype(np.int8) + (status >= 500))
    if "latency_ms" in present:
        latency = table.column("latency_ms").to_numpy()
        out["latency"] = np.where(latency >= 0, latency, np.nan)
    return out


def _users(column: pa.ChunkedArray, keys: Keys) -> NDArray[np.int32]:
    """Row of each event's user; a dictionary may hold names that no event has, and they must not enter."""
    codes, names = _dictionary(column)
    seen = np.zeros(len(names), bool)
    seen[codes] = True
    row = np.zeros(len(names), np.int32)
    row[seen] = keys.rows(names if seen.all() else [names[i] for i in np.flatnonzero(seen)])
    return row[codes]


def ordered(batch: NDArray[np.void]) -> NDArray[np.void]:
    """Records by user, then time, then all other fields: the order never depends on arrival."""
    if len(batch) == 0:
        return batch
    user, time = batch["user"].astype(np.int64), batch["time"] - batch["time"].min()
    if int(user.max()) < 1 << (63 - int(time.max()).bit_length()):
        # both in one integer, which sorts several times faster
        order = np.argsort((user << int(time.max()).bit_length()) | time)
    else:
        order = np.lexsort((time, user))
    batch = batch[order]
    tied = (batch["user"][1:] == batch["user"][:-1]) & (batch["time"][1:] == batch["time"][:-1])
    if tied.any():
        some = np.zeros(len(batch), bool)
        some[1:] |= tied
        some[:-1] |= tied
        names = [name for name in REQUEST.names or () if name not in ("user", "time")]
        part = batch[some]
        keys = [*(part[name] for name in reversed(names)), part["time"], part["user"]]
        batch[some] = part[np.lexsort(keys)]
    return batch


def _dictionary(column: pa.ChunkedArray) -> tuple[NDArray[np.int64], list[str]]:
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    whole = column.unify_dictionaries().combine_chunks()
    if isinstance(whole, pa.ChunkedArray):
        whole = whole.chunk(0)
    return whole.indices.fill_null(-1).to_numpy(zero_copy_only=False), whole.dictionary.to_pylist()


def _hashes(
    column: pa.ChunkedArray, known: dict[str, int]
) -> tuple[NDArray[np.int64], NDArray[np.uint64], list[str]]:
    """Place of each row's value, a stable 64-bit hash per place, and the values; the last place is that of null.

    Null and the empty string hash to 0. ``known`` spares hashing twice.
    """
    codes, values = _dictionary(column)
    return codes, np.array(_each(values, known, digest), np.uint64), values


def _each(values: list[str], known: dict[str, int], number: Callable[[str], int]) -> list[int]:
    """The ``number`` of each of ``values``, and behind them a 0; ``known`` keeps them."""
    if len(known) > KNOWN_HASHES:
        known.clear()
    found = [known.get(value) for value in values]
    if None in found:
        for place, value in enumerate(values):
            if found[place] is None:
                found[place] = known[value] = number(value) if value else 0
    return [*found, 0]  # type: ignore[list-item]


def digest(value: str) -> int:
    """A stable 64-bit hash of a name, never 0."""
    hashed = hashlib.blake2b(value.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(hashed, "little") | 1


def _short(hashes: NDArray[np.uint64]) -> NDArray[np.uint16]:
    """16 bits of each hash, 0 for 0 alone. The lowest bit is always set and tells nothing."""
    return np.where(hashes == 0, 0, (hashes >> np.uint64(1)) % np.uint64(SHORT) + np.uint64(1)).astype(
        np.uint16
    )


def _networks(addresses: list[str], hashes: NDArray[np.uint64], known: dict[str, int]) -> NDArray[np.uint16]:
    """A stable 16-bit hash of each address's network; what is no address has that of its string, from ``hashes``."""
    networks = np.array(_each(addresses, known, _network), np.uint16)
    return np.where(networks == 0, _short(hashes), networks)


def _network(address: str) -> int:
    """16 bits of an IPv4 address's /24 or an IPv6 address's /48, 0 for what is no address.

    These are the blocks that a site commonly holds: an IPv6 site gets a /48 (RFC 6177 speaks of /48 to /56), and
    nothing longer than an IPv4 /24 is routed as a rule.
    """
    try:
        return zlib.crc32(socket.inet_pton(socket.AF_INET, address)[:3]) % SHORT + 1
    except (OSError, ValueError):
        pass
    try:
        packed = socket.inet_pton(socket.AF_INET6, address)
    except (OSError, ValueError):
        return 0
    block = packed[12:15] if packed.startswith(_MAPPED) else packed[:6]
    return zlib.crc32(block) % SHORT + 1


_MAPPED: Final = bytes(10) + b"\xff\xff"
"""An IPv4 address written as an IPv6 one begins so (RFC 4291, 2.5.5.2)."""


def widened(records: NDArray[np.void]) -> NDArray[np.void]:
    """Records of an earlier version as ``REQUEST``: a field that they lack is 0, which stands for unknown."""
    if records.dtype == REQUEST:
        return records
    out = np.zeros(len(records), REQUEST)
    for name in records.dtype.names or ():
        out[name] = records[name]
    return out
