"""Five weeks of traffic: a quiet one, then four with attacks and with harmless habits that come back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa

from seqdetect import events
from seqdetect.attack.arrivals import steady
from seqdetect.attack.inject import Injector
from seqdetect.attack.library import library
from seqdetect.attack.strength import DAY, HOUR
from seqdetect.attack.usual import addressed, resized, usual
from seqdetect.events import Tally
from seqdetect.source.synthetic import Synthetic

WEEKS = 5
WEEK_US = 7 * DAY
STRENGTHS = ("blatant", "strong")
"""Of the attacks of these weeks; those that are learned from and compared by have all strengths."""
HABIT_SHARE = 0.8
"""Share of the users that take up a habit at the beginning of the second week."""


@dataclass(frozen=True)
class Habit:
    """Something harmless that a user does again and again; lengths are multiples of the user's usual ones."""

    every_days: int
    hours: float
    per_minute: float
    prompt: float
    completion: float
    spread: float
    """Coefficient of variation of the gaps between requests."""
    elsewhere: bool = False
    """Whether it comes from another machine, with an address and an agent of its own."""


HABITS = {
    "benign_evaluation": Habit(1, 2.0, 8.0, 0.5, 4.0, 0.1),
    "benign_reindexing": Habit(1, 0.7, 40.0, 1.0, 0.1, 0.1, elsewhere=True),
    "benign_digest": Habit(1, 1.5, 3.0, 40.0, 1.0, 0.5),
    "benign_load_test": Habit(1, 0.4, 90.0, 0.3, 0.3, 0.05, elsewhere=True),
    "benign_heavy_job": Habit(3, 4.0, 10.0, 10.0, 2.0, 0.2),
}


def traffic(users: int, seed: int, mean_rate: float, per_user_day: float) -> tuple[pa.Table, pd.DataFrame]:
    """Events of all weeks and the truth about them: attacks, the library's confounders, and every run of a habit."""
    source = Synthetic(users=users, days=7 * WEEKS, seed=seed, mean_rate=mean_rate)
    table = events.sort(events.concat(source.read(Tally())))
    rng = np.random.default_rng([seed, 3])
    first = int(table.column("timestamp").cast(pa.int64())[0].as_py()) // DAY * DAY
    end = first + WEEKS * WEEK_US
    injector = Injector(library(), per_user_day, service_per_day=0.0, strengths=STRENGTHS)
    table, attacks = injector.inject(table, first + WEEK_US, end, rng)
    frame = table.to_pandas(timestamp_as_object=False)
    frame["timestamp"] = table.column("timestamp").cast(pa.int64()).to_numpy()
    names = sorted(frame["user_id"].astype(str).unique())
    chosen = rng.permutation(names)[: round(HABIT_SHARE * len(names))]
    added, labels = [table], [attacks]
    for number, user in enumerate(chosen):
        kind = list(HABITS)[number % len(HABITS)]
        own = frame[frame["user_id"].astype(str) == user].reset_index(drop=True)
        rows, runs = _runs(own, HABITS[kind], first + WEEK_US, end, rng)
        added.append(events.conform(pa.Table.from_pandas(rows, preserve_index=False)))
        labels.append(runs.assign(incident_id=[f"{kind}-{user}-{i}" for i in range(len(runs))], kind=kind))
    return events.sort(events.concat(added)), pd.concat(labels, ignore_index=True)


def _runs(
    own: pd.DataFrame, habit: Habit, start: int, end: int, rng: np.random.Generator
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Requests of a habit from ``start`` to ``end`` (microseconds), at one hour of the day, and their labels."""
    past = usual(own, start)
    hour = int(rng.uniform(0, 20) * HOUR)
    starts = [t + hour for t in range(start, end, DAY)][
        int(rng.integers(habit.every_days)) :: habit.every_days
    ]
    parts, labels = [], []
    for begin in starts:
        stop = begin + int(habit.hours * rng.uniform(0.8, 1.2) * HOUR)
        count = int(habit.per_minute * (stop - begin) / 60e6 * rng.uniform(0.8, 1.2))
        rows = past.draw(steady(count, begin, stop, rng, habit.spread), rng)
        lengths = {
            column: past.length(column, 0.5) * factor * rng.lognormal(0.0, 0.3, count)
            for column, factor in (("prompt_tokens", habit.prompt), ("completion_tokens", habit.completion))
        }
        rows = resized(rows, lengths["prompt_tokens"], lengths["completion_tokens"])
        if habit.elsewhere:
            rows = addressed(rows, np.zeros(count, np.int64), np.random.default_rng(hour))
        parts.append(rows)
        labels.append((str(own["user_id"].iloc[0]), begin, stop))
    return pd.concat(parts, ignore_index=True), pd.DataFrame(labels, columns=["user_id", "start", "end"])
