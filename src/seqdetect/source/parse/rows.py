"""The checks that every row passes: good rows become an event table, bad ones are counted and named."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import pyarrow as pa

from seqdetect.events import EXAMPLES_KEPT, OPTIONAL, REQUIRED, Tally, conform
from seqdetect.source.parse import Block, cells
from seqdetect.source.parse.cells import Fault, Faults
from seqdetect.source.parse.header import KEY, Layout

_EXCERPT = 40
_OPTIONAL: dict[str, Callable[[pa.Array], pa.Array]] = {"status": cells.statuses, "latency_ms": cells.reals}


def accept(block: Block, layout: Layout, tally: Tally) -> pa.Table:
    """The block's good rows as an event table, in order; all its rows are counted in ``tally``.

    A row with several faults is rejected for the first, in the order of the columns. What is wrong in an
    optional column becomes null.
    """
    columns, faults = _required(block, layout)
    fault = np.zeros(len(block.numbers), np.uint8)
    for found in reversed(faults.values()):
        fault = np.where(found != Fault.NONE, found, fault)
    tally.read += len(block.numbers) + len(block.malformed)
    if block.malformed or fault.any():
        _report(block, faults, fault, tally)
    for own in OPTIONAL.names:
        if own in block.columns:
            columns[own] = _OPTIONAL.get(own, cells.texts)(block.columns[own])
    table = conform(pa.table(columns))
    return table.filter(pa.array(fault == Fault.NONE)) if fault.any() else table


def _required(block: Block, layout: Layout) -> tuple[dict[str, pa.Array], dict[str, Faults]]:
    micros, good = layout.clock.read(block.columns["timestamp"])
    bad_time = np.where(good, Fault.NONE, Fault.BAD_TIMESTAMP).astype(np.uint8)
    bad_time[cells.absent(block.columns["timestamp"])] = Fault.MISSING_VALUE
    keys, keyless = _keys(block, layout)
    columns = {"timestamp": pa.array(micros).cast(pa.timestamp("us", "UTC")), KEY: keys}
    faults = {"timestamp": bad_time, KEY: keyless}
    for own in ("prompt_tokens", "completion_tokens"):
        columns[own], faults[own] = cells.tokens(block.columns[own])
    return columns, faults


def _keys(block: Block, layout: Layout) -> tuple[pa.Array, Faults]:
    if KEY in block.columns:
        return cells.users(block.columns[KEY], layout.empty_user)
    rows = len(block.numbers)
    indices = pa.array(np.zeros(rows, np.int32))
    return pa.DictionaryArray.from_arrays(indices, [layout.lone_user]), np.zeros(rows, np.uint8)


def _report(block: Block, faults: dict[str, Faults], fault: Faults, tally: Tally) -> None:
    """Reject in the order of the lines, the first few with their place and value."""
    rows = np.flatnonzero(fault)
    places: list[tuple[int, int]] = [
        (number, -1 - index) for index, (number, _) in enumerate(block.malformed)
    ]
    places += zip(block.numbers[rows].tolist(), rows.tolist(), strict=True)
    room = max(0, EXAMPLES_KEPT - len(tally.examples))
    places.sort()
    for number, row in places[:room]:
        if row < 0:
            tally.reject("malformed_line", f"{block.origin} line {number}", block.malformed[-1 - row][1])
            continue
        own = next(name for name in REQUIRED.names if faults[name][row])
        where = f"{block.origin} {block.unit} {number} field {_field(block, own)}"
        tally.reject(Fault(fault[row]).name.lower(), where, _excerpt(block, own, row))
    rest = Counter(
        Fault(fault[row]).name.lower() if row >= 0 else "malformed_line" for _, row in places[room:]
    )
    for reason, count in rest.items():
        tally.reject(reason, block.origin, "further rows", count)


def _field(block: Block, own: str) -> str:
    name = block.names.get(own, own)
    return own if name == own else f"{own} ({name})"


def _excerpt(block: Block, own: str, row: int) -> str:
    value = repr(block.columns[own][row].as_py())
    return value if len(value) <= _EXCERPT else f"{value[:_EXCERPT]}…"
