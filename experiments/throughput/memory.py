"""Memory of the scorer by the number of users it has seen.

    python experiments/throughput/memory.py BUNDLE USERS[,USERS...] [MAX_USERS]

New users come 20,000 a tick, each with two requests. Says the resident size after each of the numbers, in one process,
and its peak. With MAX_USERS the least recently seen are to be forgotten.
"""

from __future__ import annotations

import gc
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pinned import say
from traffic import MIDNIGHT_US

from seqdetect.bundle.load import load
from seqdetect.events import MICROSECONDS, Tally, conform
from seqdetect.scorer import Model, Scorer

A_TICK, TICK_S = 20_000, 10


def batch(first: int, users: int, tick: int, rng: np.random.Generator) -> pa.Table:
    """Two requests of each of ``users`` new users within one tick."""
    owner = np.repeat(np.arange(users, dtype=np.int32), 2)
    times = (
        MIDNIGHT_US
        + tick * TICK_S * MICROSECONDS
        + np.sort(rng.integers(0, TICK_S * MICROSECONDS, 2 * users))
    )
    rows = rng.permutation(len(owner))
    return conform(
        pa.table(
            {
                "timestamp": pa.array(times).cast(pa.timestamp("us", "UTC")),
                "user_id": pa.DictionaryArray.from_arrays(
                    owner[rows], [f"user-{first + number:08d}" for number in range(users)]
                ),
                "prompt_tokens": pa.array(rng.lognormal(6.0, 1.0, len(rows)).astype(np.int64)),
                "completion_tokens": pa.array(rng.lognormal(5.0, 1.0, len(rows)).astype(np.int64)),
                "client_ip": pa.DictionaryArray.from_arrays(
                    owner[rows],
                    [f"10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}" for n in range(first, first + users)],
                ),
            }
        )
    )


def resident() -> dict[str, int]:
    """Bytes resident now and at most so far."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {"now": 1024 * int(lines["VmRSS"].split()[0]), "peak": 1024 * int(lines["VmHWM"].split()[0])}


def measure(path: str, sizes: list[int], most: int | None) -> dict[str, Any]:
    """Resident bytes before any user and after each size, and what the scorer says of itself at the end."""
    limit = {} if most is None else {"max_users": most}
    scorer = Scorer([Model("champion", load(path))], Tally(), **limit)
    rng = np.random.default_rng(0)
    found, seen, tick = {"0": resident()}, 0, 0
    for size in sizes:
        while seen < size:
            users = min(A_TICK, size - seen)
            scorer.push(batch(seen, users, tick, rng))
            seen, tick = seen + users, tick + 1
        gc.collect()
        pa.default_memory_pool().release_unused()
        found[str(size)] = resident()
    return {"resident": found, "stats": scorer.stats()["champion"]}


if __name__ == "__main__":
    pa.set_cpu_count(1)
    numbers = [int(text) for text in sys.argv[2].split(",")]
    say(**measure(sys.argv[1], numbers, int(sys.argv[3]) if len(sys.argv) > 3 else None))
