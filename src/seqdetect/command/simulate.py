"""Synthetic traffic with attacks in it, as a file, or as lines or messages at the pace of a live stream."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from seqdetect import events
from seqdetect.attack.inject import Injector
from seqdetect.attack.library import library
from seqdetect.events import MICROSECONDS, Tally
from seqdetect.source.synthetic import Synthetic
from seqdetect.source.write import write


def run(options: argparse.Namespace) -> None:
    """Make the traffic and write it."""
    table, incidents = traffic(
        options.users,
        options.days,
        options.seed,
        options.attack,
        options.from_day,
        options.incidents is not None,
    )
    if incidents is not None:
        incidents.to_csv(options.incidents, index=False)
    if options.to == "kafka":
        produce(table, options.brokers, options.topic, options.rate)
    else:
        emit(table, options.out, options.rate)
    print(
        f"{table.num_rows} events, {0 if incidents is None else len(incidents)} incident rows",
        file=sys.stderr,
    )


def traffic(
    users: int, days: float, seed: int, kinds: Sequence[str] | None, from_day: float | None, attacked: bool
) -> tuple[pa.Table, pd.DataFrame | None]:
    """Events in time order and, where ``attacked``, the labels of the attacks injected after ``from_day``.

    ``kinds`` limits the attacks (default: all). Raises ``ValueError`` for a kind that does not exist.
    """
    table = events.sort(events.concat(Synthetic(users=users, days=days, seed=seed).read(Tally())))
    if not attacked:
        return table, None
    known = library()
    unknown = set(kinds or ()) - set(known)
    if unknown:
        raise ValueError(f"no attack of the kind {sorted(unknown)}; there are {sorted(known)}")
    chosen = {name: known[name] for name in (kinds or known)}
    times = table.column("timestamp").cast(pa.int64())
    first, last = int(pc.min(times).as_py()), int(pc.max(times).as_py())
    quiet_days = days / 2 if from_day is None else from_day
    if not 0 <= quiet_days <= (last - first) / MICROSECONDS / 86_400:
        raise ValueError(f"attacks cannot start after {quiet_days:g} days of the {days:g} days of traffic")
    begin = first + round(quiet_days * 86_400 * MICROSECONDS)
    return Injector(chosen).inject(table, begin, last + 1, np.random.default_rng([seed, 7]))


def emit(table: pa.Table, out: str, rate: float | None) -> None:
    """Write all at once, or ``rate`` events a second as JSON lines, each flushed when it is due."""
    if rate is None:
        write(table, out)
        return
    if out != "-":
        raise ValueError(f"--rate goes to standard output, not to {out}")
    for part in paced(table, rate):
        write(part, out)
        sys.stdout.flush()


def produce(table: pa.Table, brokers: str | None, topic: str | None, rate: float | None) -> None:
    """Every event as a message keyed by its user, ``rate`` a second or as fast as it goes.

    Raises ``ConnectionError`` where the brokers don't take them.
    """
    if not brokers or not topic:
        raise ValueError("--to kafka needs --brokers and --topic")
    from seqdetect.broker import Errors, Outbox

    outbox = Outbox(brokers, {}, Errors(f"Kafka {topic}"))
    for part in events.chunks(table) if rate is None else paced(table, rate):
        for key, value in zip(part.column("user_id").to_pylist(), messages(part), strict=True):
            outbox.put(topic, value, key.encode())
        outbox.poll()
    outbox.flush(-1)
    outbox.close()


def messages(table: pa.Table) -> list[bytes]:
    """Each event as one JSON object; what is missing is left out."""
    plain = table.set_column(0, "timestamp", table.column("timestamp").cast(pa.string()))
    return [
        msgspec.json.encode({name: cell for name, cell in row.items() if cell is not None})
        for row in plain.to_pylist()
    ]


def paced(table: pa.Table, rate: float) -> Iterator[pa.Table]:
    """The table in slices, each handed on when it is due at ``rate`` events a second."""
    if not 0 < rate < np.inf:
        raise ValueError(f"--rate is above 0; got {rate:g}")
    started = time.monotonic()
    step = max(1, round(rate / 20))
    for number, part in enumerate(events.chunks(table, step)):
        wait = started + number * step / rate - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        yield part
