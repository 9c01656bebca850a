"""From bytes to event tables: physical lines, three formats, and the checks that every row passes.

``lines`` cuts a stream into lines, ``csv``, ``jsonl`` and ``parquet`` turn them into blocks of raw cells,
``header`` finds the columns, ``cells`` and ``times`` convert them, ``rows`` rejects what is wrong.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Numbers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Block:
    """Raw cells of consecutive rows of one file, before any check.

    ``columns`` and ``names`` (the file's own spelling) go by our column names; ``numbers`` [rows] says where
    each row stands in the file, from 1, in units of ``unit`` ("line", "row"). Lines that could not be taken
    apart are not among the rows: ``malformed`` holds their numbers and what is wrong with them, ``skipped`` the
    numbers of those that were no events and need not be.
    """

    origin: str
    unit: str
    columns: dict[str, pa.Array]
    names: dict[str, str]
    numbers: Numbers
    malformed: list[tuple[int, str]] = field(default_factory=list)
    skipped: list[int] = field(default_factory=list)
