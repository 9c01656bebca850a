"""A simulated week: the history that a model is trained on, and the seven days after it with everything that happens."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from seqdetect import events
from seqdetect.attack.inject import Injector
from seqdetect.attack.library import library
from seqdetect.events import MICROSECONDS, Tally
from seqdetect.source.synthetic import Synthetic

DAY_US: Final = 86_400 * MICROSECONDS
HISTORY_DAYS: Final = 5
WEEK_DAYS: Final = 7
TAIL_S: Final = 7200
"""The history's last part, which training measures and which brings the state up to the week's beginning."""
PER_USER_DAY: Final = 0.2
"""Incident rows per user and day of the week: attacks are rarer than in a benchmark."""
SERVICE_PER_DAY: Final = 0.3


@dataclass(frozen=True)
class Week:
    """``history`` and ``week`` are event tables in time order, with the labels of what was injected into each."""

    history: pa.Table
    history_labels: pd.DataFrame
    week: pa.Table
    labels: pd.DataFrame
    begin: int
    """Where the week begins, microseconds."""
    train_end: int
    calibration_end: int


def week(users: int, seed: int) -> Week:
    """Twelve days of ``users`` users: attacks after the third day for calibration, and rarer ones in the week.

    Lasting changes of benign users are part of the traffic itself; campaigns, newcomers, migrations and batch jobs are
    injected, as are service-wide degradation and inflation.
    """
    days = HISTORY_DAYS + WEEK_DAYS
    table = events.sort(events.concat(Synthetic(users=users, days=days, seed=seed).read(Tally())))
    first = int(pc.min(table.column("timestamp").cast(pa.int64())).as_py()) // DAY_US * DAY_US
    begin = first + HISTORY_DAYS * DAY_US
    train_end, calibration_end = first + 3 * DAY_US, begin - TAIL_S * MICROSECONDS
    known = library()
    time = table.column("timestamp").cast(pa.int64())
    past = table.filter(pc.less(time, pa.scalar(begin)))
    history, history_labels = Injector(known).inject(
        past, train_end, calibration_end, np.random.default_rng([seed, 7])
    )
    injector = Injector(known, per_user_day=PER_USER_DAY, service_per_day=SERVICE_PER_DAY)
    end = first + days * DAY_US
    whole, labels = injector.inject(table, begin, end, np.random.default_rng([seed, 8]), vary=(0.7, 1.4))
    after = pc.greater_equal(whole.column("timestamp").cast(pa.int64()), pa.scalar(begin))
    return Week(history, history_labels, whole.filter(after), labels, begin, train_end, calibration_end)


def write(made: Week, folder: Path) -> None:
    """What ``train.py source=files`` reads."""
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(made.history, folder / "history.parquet")
    labels = made.history_labels.copy()
    for column in ("start", "end"):
        labels[column] = [events.iso(int(value)) for value in labels[column]]
    labels.to_csv(folder / "incidents.csv", index=False)
