"""The columns of an event table as one numpy record array, keys and names replaced by numbers."""

from __future__ import annotations

import hashlib

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
        ("error", "i1"),  # 1 for a status of 400 and above, 0 below, -1 where unknown
        ("latency", "<f8"),  # milliseconds, NaN where unknown
        ("event_id", "<u8"),  # hash, 0 where unknown
    ]
)
"""One request. Strings are 64-bit hashes: the engine only ever asks whether two are equal."""

FIELD_COLUMNS = {
    "client_ip": "address",
    "model": "model",
    "status": "error",
    "latency_ms": "latency",
    "event_id": "event_id",
}
"""Optional event columns and the request field that each fills."""


class Keys:
    """The key table: user names in the order of their first appearance, and the row of each."""

    def __init__(self, names: list[str] | None = None) -> None:
        self.names: list[str] = list(names or [])
        self._row = {name: row for row, name in enumerate(self.names)}

    def __len__(self) -> int:
        return len(self.names)

    def rows(self, names: list[str]) -> NDArray[np.int32]:
        """The row of each name; unknown names are appended."""
        found = np.empty(len(names), np.int32)
        for i, name in enumerate(names):
            row = self._row.get(name)
            if row is None:
                row = self._row[name] = len(self.names)
                self.names.append(name)
            found[i] = row
        return found


def requests(table: pa.Table, keys: Keys) -> NDArray[np.void]:
    """The rows of an event table as ``REQUEST`` records ``[n]``; new users enter ``keys``."""
    out = np.zeros(table.num_rows, REQUEST)
    out["error"] = -1
    out["latency"] = np.nan
    if table.num_rows == 0:
        return out
    out["time"] = table.column("timestamp").cast(pa.int64()).to_numpy()
    codes, names = _dictionary(table.column("user_id"))
    used, inverse = np.unique(codes, return_inverse=True)
    out["user"] = keys.rows([names[i] for i in used])[inverse]
    out["prompt"] = table.column("prompt_tokens").to_numpy()
    out["completion"] = table.column("completion_tokens").to_numpy()
    present = table.column_names
    for column, name in (("client_ip", "address"), ("model", "model"), ("event_id", "event_id")):
        if column in present:
            out[name] = _hashes(table.column(column))
    if "status" in present:
        status = table.column("status").cast(pa.int32()).fill_null(-1).to_numpy()
        out["error"] = np.where(status < 0, -1, status >= 400)
    if "latency_ms" in present:
        latency = table.column("latency_ms").to_numpy()
        out["latency"] = np.where(latency >= 0, latency, np.nan)
    return out


def ordered(batch: NDArray[np.void]) -> NDArray[np.void]:
    """Records by user, then time, then all other fields: the order never depends on arrival."""
    order = np.lexsort((batch["time"], batch["user"]))
    batch = batch[order]
    tied = (batch["user"][1:] == batch["user"][:-1]) & (batch["time"][1:] == batch["time"][:-1])
    if tied.any():
        names = [name for name in REQUEST.names or () if name not in ("user", "time")]
        batch = batch[np.lexsort([*(batch[name] for name in reversed(names)), batch["time"], batch["user"]])]
    return batch


def _dictionary(column: pa.ChunkedArray) -> tuple[NDArray[np.int64], list[str]]:
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    whole = column.unify_dictionaries().combine_chunks()
    if isinstance(whole, pa.ChunkedArray):
        whole = whole.chunk(0)
    return whole.indices.fill_null(-1).to_numpy(zero_copy_only=False), whole.dictionary.to_pylist()


def _hashes(column: pa.ChunkedArray) -> NDArray[np.uint64]:
    """A stable 64-bit hash per value; 0 for null and for the empty string."""
    codes, values = _dictionary(column)
    table = np.zeros(len(values) + 1, np.uint64)
    used = np.unique(codes[codes >= 0])
    for code in used:
        value = values[code]
        if value:
            digest = hashlib.blake2b(value.encode("utf-8", "surrogatepass"), digest_size=8).digest()
            table[code] = int.from_bytes(digest, "little") | 1
    return table[codes]
