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
    optional column becomes null. This is the door: behind it only pseudonyms are known, where the layout has them.
    """
    columns, faults = required(block, layout)
    fault = np.zeros(len(block.numbers), np.uint8)
    for found in reversed(faults.values()):
        fault = np.where(found != Fault.NONE, found, fault)
    tally.read += len(block.numbers) + len(block.malformed)
    tally.skipped += len(block.skipped)
    if block.malformed or fault.any():
        _report(block, faults, fault, tally, layout)
    for own in OPTIONAL.names:
        if own in block.columns:
            columns[own] = _OPTIONAL.get(own, cells.texts)(block.columns[own])
    table = conform(pa.table(columns))
    if fault.any():
        table = table.filter(pa.array(fault == Fault.NONE))
    return table if layout.pseudonyms is None else layout.pseudonyms.hide(table)


def required(block: Block, layout: Layout) -> tuple[dict[str, pa.Array], dict[str, Faults]]:
    """The required columns of ``block``, and by column what is wrong with each row [rows]."""
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


def _report(block: Block, faults: dict[str, Faults], fault: Faults, tally: Tally, layout: Layout) -> None:
    """Reject in the order of the lines, the first few with their place and value, the rest by number."""
    room = max(0, EXAMPLES_KEPT - len(tally.examples))
    rows = np.flatnonzero(fault)
    found: list[tuple[int, int | None, str]] = [
        (number, None, detail) for number, detail in sorted(block.malformed)[:room]
    ]
    found += [(int(block.numbers[row]), int(row), "") for row in rows[:room]]
    rest = Counter(
        {kind.name.lower(): int((fault == kind).sum()) for kind in Fault if kind is not Fault.NONE}
    )
    rest["malformed_line"] = len(block.malformed)
    for number, row, detail in sorted(found, key=lambda one: one[0])[:room]:
        reason = "malformed_line" if row is None else Fault(fault[row]).name.lower()
        where = f"{block.origin} {block.unit} {number}"
        if row is not None:
            own = next(name for name in REQUIRED.names if faults[name][row])
            where, detail = f"{where} field {_field(block, own)}", _excerpt(block, own, row)
            if layout.pseudonyms is not None:
                detail = "what is there is not shown where users are hashed"
        tally.reject(reason, where, detail)
        rest[reason] -= 1
    for reason, count in (+rest).items():
        tally.reject(reason, block.origin, "further rows", count)


def _field(block: Block, own: str) -> str:
    name = block.names.get(own, own)
    return own if name == own else f"{own} ({name})"


def _excerpt(block: Block, own: str, row: int) -> str:
    cell = block.columns[own][row].as_py() if own in block.columns else None
    value = "nothing there" if cell in (None, "") else repr(cell)
    return value if len(value) <= _EXCERPT else f"{value[:_EXCERPT]}…"
