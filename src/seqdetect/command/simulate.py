"""Synthetic traffic with attacks in it, as a file or at the pace of a live stream."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

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
    if not 0 < rate < np.inf or out != "-":
        raise ValueError(f"--rate is above 0 and goes to standard output; got {rate:g} and {out}")
    started = time.monotonic()
    step = max(1, round(rate / 20))
    for number, part in enumerate(events.chunks(table, step)):
        wait = started + number * step / rate - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        write(part, out)
        sys.stdout.flush()
