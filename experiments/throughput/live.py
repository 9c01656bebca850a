"""From an event to its alert, in real time: events stamped with the clock on the wall, alerts timed as they come out.

    python experiments/throughput/live.py score|serve BUNDLE EVENTS.parquet CORE SECONDS RATE

The scorer runs on CORE, everything here on the others; a scorer started with a priority above the machine's other work
keeps it. The traffic is the measured one, copied to as many users as the rate needs at 20 requests a minute each. Now
and then one of them floods. An alert's tick is complete when an event comes that is ``lateness`` past its end; latency
is how long after that moment the line of an alert that opens is out. ``score`` sends through a pipe to
``seqdetect score``, ``serve`` posts to ``seqdetect serve`` with its defaults: a queue, checkpoints, metrics.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pinned import say
from receivers import Piped, Posted
from traffic import copies, jsonl

from seqdetect.bundle.load import load
from seqdetect.events import concat, conform

SLICE_S = 0.05
SETTLING_S = 30
"""Alerts of the first ticks are not counted: nobody has a history yet, and the process has just started."""
ATTACKS, ATTACK_S, ATTACK_RATE = 90, 20.0, 25.0
TAIL_S = 25
"""After the attacks traffic goes on until their ticks are complete."""
Times = list[tuple[float, dict[str, Any]]]


def traffic(path: str, seconds: int, rate: float) -> pa.Table:
    """Events by time from 0 microseconds on, about ``rate`` a second, attacks among them; texts as plain strings."""
    base = conform(pq.read_table(path))
    micros = base.column("timestamp").cast(pa.int64()).to_numpy()
    base = base.slice(0, int(np.searchsorted(micros, micros[0] + seconds * 1_000_000)))
    count = max(1, round(rate / (base.num_rows / seconds)))
    table = copies(base, count)
    begin = int(table.column("timestamp").cast(pa.int64())[0].as_py())
    table = concat([table, _attacks(table, begin, seconds)])
    table = table.take(pc.sort_indices(table.column("timestamp")))
    names = table.column_names
    plain = [c.cast(pa.string()) if pa.types.is_dictionary(c.type) else c for c in table.columns]
    return pa.table(plain, names).combine_chunks()


def _attacks(table: pa.Table, begin: int, seconds: int) -> pa.Table:
    """Floods of long requests by users drawn at random, begun at random times after the first half minute."""
    rng = np.random.default_rng(5)
    who = table.take(pa.array(rng.integers(0, table.num_rows, ATTACKS)))
    each = round(ATTACK_S * ATTACK_RATE)
    rows = who.take(pa.array(np.repeat(np.arange(ATTACKS), each)))
    starts = rng.uniform(SETTLING_S - 10, seconds - ATTACK_S - TAIL_S, ATTACKS)
    times = starts[:, None] + np.sort(rng.uniform(0, ATTACK_S, (ATTACKS, each)), axis=1)
    made = {
        "timestamp": pa.array(begin + (1e6 * times.ravel()).astype(np.int64)).cast(pa.timestamp("us", "UTC")),
        "prompt_tokens": pa.array(rng.integers(20_000, 60_000, len(rows))),
    }
    return conform(pa.table({name: made.get(name, rows.column(name)) for name in rows.column_names}))


def listen(out: IO[bytes], found: Times) -> None:
    """Every line that comes, with the time at which it came."""
    for line in out:
        found.append((time.time(), json.loads(line)))


def feed(table: pa.Table, send: Callable[[bytes], None]) -> dict[str, float]:
    """Send every event when it is due, stamped with that moment; how far behind the sender fell (seconds)."""
    times = table.column("timestamp").cast(pa.int64()).to_numpy()
    due = (times - times[0]) / 1e6
    start = time.time() + 0.5
    shift = int(start * 1e6) - int(times[0])
    lags, busy, first, at = [], 0.0, 0, 0.0
    while first < len(due):
        at += SLICE_S
        time.sleep(max(0.0, start + at - time.time()))
        last = int(np.searchsorted(due, at))
        begun = time.time()
        stamps = pa.array(times[first:last] + shift).cast(pa.timestamp("us", "UTC"))
        part = table.slice(first, last - first)
        text = jsonl(part.set_column(0, "timestamp", stamps))
        busy += time.time() - begun
        send(text)
        lags.append(time.time() - start - at)
        first = last
    return {
        "sent": len(due),
        "seconds": time.time() - start,
        "lag_s": max(lags),
        "lag_p99_s": float(np.quantile(lags, 0.99)),
        "rendering": busy / (time.time() - start),
        "started": start,
    }


def measure(way: str, bundle: str, path: str, core: int, seconds: int, rate: float) -> dict[str, Any]:
    """Latencies of opened alerts and how the queues did."""
    meta = load(bundle).metadata
    table = traffic(path, seconds, rate)
    with TemporaryDirectory() as folder:
        scorer = {"score": Piped, "serve": Posted}[way](
            ["taskset", "-c", str(core)], Path(bundle), Path(folder)
        )
        found: Times = []
        reader = threading.Thread(target=listen, args=(scorer.lines, found))
        reader.start()
        sent = feed(table, scorer.send)
        spent, closed = scorer.cpu_s() / sent["seconds"], time.time()
        told = scorer.stop()
        reader.join()
    opened = [(at, _seconds(one["start"])) for at, one in found if one["change"] == "open" and at < closed]
    due = [(at, start + meta.tick_s + meta.lateness_s) for at, start in opened]
    late = [at - moment for at, moment in due if moment > sent["started"] + SETTLING_S]
    quantiles = np.quantile(late, [0.5, 0.99, 1.0]).tolist() if late else [float("nan")] * 3
    return (
        sent
        | told
        | {
            "users": len(pc.unique(table.column("user_id"))),
            "alerts": len(late),
            "p50_s": quantiles[0],
            "p99_s": quantiles[1],
            "worst_s": quantiles[2],
            "busy": spent,
            "load": os.getloadavg()[0],
        }
    )


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


if __name__ == "__main__":
    pa.set_cpu_count(1)
    say(**measure(*sys.argv[1:4], int(sys.argv[4]), int(sys.argv[5]), float(sys.argv[6])))
