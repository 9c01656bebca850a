"""Tens of millions of events through one scorer at full speed: is memory flat, is the rate steady?

    python experiments/reliability/soak.py --bundle BUNDLE --events out/throughput/events.parquet

The events (``experiments/throughput/traffic.py`` makes them) are played over and over, each round later in time by
their span, and in each round a half of the users has new names: twice as many users as are remembered pass by every
few rounds. One event in twenty has an ``event_id``, and ten of those come twice in every batch.
"""

from __future__ import annotations

import argparse
import csv
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from record import record

from seqdetect.bundle.load import load
from seqdetect.events import MICROSECONDS, SCHEMA, Tally, conform
from seqdetect.scorer import Model, Scorer

ROOT = Path(__file__).resolve().parents[2]
BATCH = 65_536
ID_EVERY, AGAIN = 20, 10
PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Sample:
    """What a stretch of a million events took, and the memory at its end."""

    events: int
    rss_mb: float
    wall_s: float
    cpu_s: float
    users: int
    checkpoint_mb: float
    """Of the checkpoint written last."""


class Traffic:
    """``path`` played over and over."""

    def __init__(self, path: str) -> None:
        table = conform(pq.read_table(path)).unify_dictionaries().combine_chunks()
        self.table = table
        self.micros = table.column("timestamp").cast(pa.int64()).to_numpy()
        self.codes = table.column("user_id").chunk(0).indices
        self.users = len(table.column("user_id").chunk(0).dictionary)
        span_s = int(self.micros[-1] - self.micros[0]) // MICROSECONDS + 1
        self.span = span_s * MICROSECONDS
        self.rows = np.arange(table.num_rows)

    def batches(self, events: int) -> Iterator[pa.Table]:
        """Tables of ``BATCH`` rows until ``events`` have come."""
        done, number = 0, 0
        while done < events:
            table = self._round(number)
            for start in range(0, table.num_rows, BATCH):
                if done < events:
                    part = table.slice(start, BATCH)
                    done += part.num_rows
                    first = -start % ID_EVERY
                    again = part.take(pa.array(range(first, min(part.num_rows, ID_EVERY * AGAIN), ID_EVERY)))
                    yield pa.concat_tables([part, again])
            number += 1

    def _round(self, number: int) -> pa.Table:
        """Round ``number``: user ``i`` has a new name in every second round, the even and the odd ones by turns."""
        names = [f"user-{i}-{(number + i % 2) // 2}" for i in range(self.users)]
        times = pa.array(self.micros + number * self.span).cast(pa.timestamp("us", "UTC"))
        made = {
            "timestamp": times,
            "user_id": pa.DictionaryArray.from_arrays(self.codes, names),
            "event_id": self._ids(number),
        }
        columns = [name for name in SCHEMA.names if name in made or name in self.table.column_names]
        return conform(pa.table({name: made.get(name, _column(self.table, name)) for name in columns}))

    def _ids(self, number: int) -> pa.Array:
        named = self.rows % ID_EVERY == 0
        return pa.array(self.rows + number * len(self.rows), mask=~named).cast(pa.string())


def _column(table: pa.Table, name: str) -> pa.ChunkedArray | None:
    return table.column(name) if name in table.column_names else None


def soak(options: argparse.Namespace) -> tuple[list[Sample], Scorer, int]:
    """Samples at every million events, the scorer at the end, and the changes of alerts it told."""
    traffic = Traffic(options.events)
    scorer = Scorer([Model("champion", load(options.bundle))], Tally(), max_users=options.max_users)
    checkpoint = Path(options.out) / "soak.ckpt"
    samples: list[Sample] = []
    changes = taken = size = 0
    saved = time.monotonic()
    wall, cpu = time.perf_counter(), time.process_time()
    for batch in traffic.batches(options.count):
        scorer.tally.read += batch.num_rows
        changes += len(scorer.push(batch))
        taken += batch.num_rows
        if time.monotonic() - saved >= options.checkpoint_every:
            size = scorer.save(checkpoint, {"events": taken})
            saved = time.monotonic()
        if taken // 1_000_000 > len(samples):
            now, spent = time.perf_counter(), time.process_time()
            (stats,) = scorer.stats().values()
            samples.append(Sample(taken, _rss_mb(), now - wall, spent - cpu, stats["users"], size / 1e6))
            print(samples[-1], flush=True)
            wall, cpu = now, spent
    scorer.flush()
    return samples, scorer, changes


def _rss_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE / 1e6


def _kept(samples: list[Sample], folder: Path) -> None:
    with open(folder / "soak.csv", "w", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(Sample.__dataclass_fields__)
        out.writerows([getattr(one, name) for name in Sample.__dataclass_fields__] for one in samples)


def _rates(samples: list[Sample], of: str) -> np.ndarray:
    events = np.diff([0, *(one.events for one in samples)])
    return events / np.array([getattr(one, of) for one in samples])


def told(samples: list[Sample], scorer: Scorer, changes: int) -> None:
    """Record what was seen."""
    events = np.array([one.events for one in samples]) / 1e6
    rss = np.array([one.rss_mb for one in samples])
    half = len(samples) // 2
    slope = float(np.polyfit(events[half:], rss[half:], 1)[0])
    (stats,) = scorer.stats().values()
    tally = scorer.tally
    rows: list[tuple[str, object, object, str]] = [
        ("events", tally.read, "", "in one process"),
        ("memory slope over the last half, kB per million events", round(1000 * slope, 1), "", ""),
        ("memory at half, MB", round(float(rss[half]), 1), "", ""),
        ("memory at the end, MB", round(float(rss[-1]), 1), "", ""),
        ("memory at most, MB", round(float(rss.max()), 1), "", ""),
        ("users remembered", stats["users"], "", f"{stats['evicted']} forgotten on the way"),
        ("steps", stats["steps"], "", f"{changes} changes of alerts"),
        ("duplicates dropped", tally.rejected["duplicate"], "", f"{tally.late} late"),
    ]
    for of, name in (("cpu_s", "CPU second"), ("wall_s", "second")):
        rates = _rates(samples, of)
        for what, value in (("lowest", rates.min()), ("median", np.median(rates)), ("highest", rates.max())):
            rows.append((f"events a {name} per million, {what}", int(value), "", ""))
    record("soak", rows)


def plot(samples: list[Sample], path: Path) -> None:
    """Memory and rates over the events."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    events = [one.events / 1e6 for one in samples]
    figure, (top, bottom) = plt.subplots(2, 1, sharex=True, figsize=(8, 5), constrained_layout=True)
    top.plot(events, [one.rss_mb for one in samples], color="tab:blue")
    top.set_ylim(bottom=0)
    top.set_ylabel("resident memory, MB")
    for of, label, color in (
        ("cpu_s", "per CPU second", "tab:green"),
        ("wall_s", "per second", "tab:gray"),
    ):
        bottom.plot(events, _rates(samples, of) / 1e6, label=label, color=color)
    bottom.set_ylim(bottom=0)
    bottom.set_ylabel("million events")
    bottom.set_xlabel("million events taken in")
    bottom.legend(loc="lower right")
    for axes in (top, bottom):
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=110)


def main() -> None:
    """Soak, record, plot."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--bundle", required=True)
    parser.add_argument("--events", default=str(ROOT / "out" / "throughput" / "events.parquet"))
    parser.add_argument("--count", type=int, default=51_000_000)
    parser.add_argument("--max-users", type=int, default=10_000)
    parser.add_argument("--checkpoint-every", type=float, default=30.0)
    parser.add_argument("--out", default=str(ROOT / "out" / "reliability"))
    options = parser.parse_args()
    pa.set_cpu_count(1)
    Path(options.out).mkdir(parents=True, exist_ok=True)
    samples, scorer, changes = soak(options)
    _kept(samples, Path(options.out))
    told(samples, scorer, changes)
    plot(samples, Path(__file__).with_name("soak.png"))


if __name__ == "__main__":
    main()
