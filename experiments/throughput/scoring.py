"""The scorer in one process, for what cannot be seen from outside: memory, density of ticks, profile.

    python experiments/throughput/scoring.py density BUNDLE EVENTS.parquet USERS REQUESTS_A_MINUTE
    python experiments/throughput/scoring.py profile BUNDLE EVENTS.jsonl CHECKPOINT

``density`` makes other traffic out of the measured one: more users as copies (``traffic.copies``), other rates by
stretching time. Time runs from the third tick on.
"""

from __future__ import annotations

import cProfile
import pstats
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pinned import say
from traffic import USERS, copies

from seqdetect.bundle.load import load
from seqdetect.events import Tally, chunks, conform
from seqdetect.scorer import Model, Scorer
from seqdetect.source.files import Files

RATE_A_MINUTE = 20
WARM_TICKS, LEAST_TICKS, MOST_EVENTS = 3, 6, 1_500_000
SHOWN = 14


def opened(bundle: str, tally: Tally) -> Scorer:
    """The champion at work on users, as ``seqdetect score`` opens it."""
    return Scorer([Model("champion", load(bundle))], tally)


def population(path: str, users: int, rate: float, tick_us: int) -> pa.Table:
    """Traffic of ``users`` users at ``rate`` requests a minute each, long enough for a few ticks."""
    table = conform(pq.read_table(path))
    micros = table.column("timestamp").cast(pa.int64()).to_numpy()
    begin, stretch = int(micros[0]), RATE_A_MINUTE / rate
    a_tick = users * rate / 60e6 * tick_us
    ticks = int(np.clip(MOST_EVENTS / a_tick, WARM_TICKS + LEAST_TICKS, 60))
    table = table.slice(0, int(np.searchsorted(micros, begin + int(ticks * tick_us / stretch))))
    if users < USERS:
        names = pa.array(table.column("user_id").unify_dictionaries().chunk(0).dictionary.to_pylist()[:users])
        table = table.filter(pc.is_in(table.column("user_id").cast(pa.string()), names))
    else:
        table = copies(table, users // USERS)
    times = table.column("timestamp").cast(pa.int64()).to_numpy()
    made = pa.array(begin + ((times - begin) * stretch).astype(np.int64)).cast(pa.timestamp("us", "UTC"))
    return table.set_column(0, table.schema.field(0), made)


def density(bundle: str, path: str, users: int, rate: float) -> dict[str, float]:
    """Events, steps and ticks from the third tick on, and what they took."""
    scorer = opened(bundle, Tally())
    tick_us = round(load(bundle).metadata.tick_s * 1e6)
    table = population(path, users, rate, tick_us)
    times = table.column("timestamp").cast(pa.int64()).to_numpy()
    cut = int(np.searchsorted(times, times[0] + WARM_TICKS * tick_us))
    for part in chunks(table.slice(0, cut)):
        scorer.push(part)
    before = _steps(scorer)
    cpu, wall = time.process_time(), time.perf_counter()
    for part in chunks(table.slice(cut)):
        scorer.push(part)
    scorer.flush()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    ticks = len(np.unique(times[cut:] // tick_us))
    events, steps = table.num_rows - cut, _steps(scorer) - before
    return {"events": events, "steps": steps, "ticks": ticks, "cpu_s": cpu, "wall_s": wall}


def _steps(scorer: Scorer) -> int:
    (one,) = scorer.stats().values()
    return int(one["steps"])


def profile(bundle: str, path: str, checkpoint: str) -> dict[str, Any]:
    """Own time of the functions that take most, as shares, and seconds of reading and of scoring."""
    tally = Tally()
    scorer = opened(bundle, tally)
    scorer.load(checkpoint)
    profiler = cProfile.Profile()
    profiler.enable()
    for table in Files(path).read(tally):
        scorer.push(table)
    scorer.flush()
    profiler.disable()
    stats: Any = pstats.Stats(profiler)
    whole = sum(own for _, _, own, _, _ in stats.stats.values())
    functions = sorted(stats.stats.items(), key=lambda item: -item[1][2])[:SHOWN]
    found = [[_place(*where), own / whole] for where, (_, _, own, _, _) in functions]
    return {"events": tally.read, "seconds": whole, "functions": found}


def _place(path: str, line: int, name: str) -> str:
    return name if path == "~" else f"{Path(path).parent.name}/{Path(path).name}:{line} {name}"


if __name__ == "__main__":
    pa.set_cpu_count(1)
    what, *rest = sys.argv[1:]
    if what == "density":
        say(**density(rest[0], rest[1], int(rest[2]), float(rest[3])))
    else:
        ways: dict[str, Callable[..., dict[str, Any]]] = {"profile": profile}
        say(**ways[what](*rest))
