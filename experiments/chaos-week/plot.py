"""The week at a glance: what was injected, and what was said about it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("agg")
import matplotlib.dates as dates
import matplotlib.pyplot as plt
import numpy as np
from measure import spells
from week import WEEK_DAYS, Week

from seqdetect.events import MICROSECONDS

DAY_US = 86_400 * MICROSECONDS


def draw(made: Week, changes: Sequence[dict[str, Any]], path: Path) -> None:
    """Users down the page, time across: incidents as bars, alerts as marks."""
    end = made.begin + WEEK_DAYS * DAY_US
    users = sorted(set(made.week.column("user_id").to_pylist()))
    row = {user: place for place, user in enumerate(users)} | {"*": len(users) + 1}
    figure, axes = plt.subplots(figsize=(11, 8), layout="constrained")
    for label in made.labels.itertuples():
        benign = label.kind.startswith("benign_")
        axes.barh(
            row[label.user_id], _days(label.end - label.start), left=_date(label.start), height=0.9,
            color="#b8c4cc" if benign else "#e3a857",
        )  # fmt: skip
    for spell in spells(changes, end):
        axes.plot(
            [_date(spell.start), _date(max(spell.end, spell.start + 600 * MICROSECONDS))], [row[spell.user]] * 2,
            color="#a3142e" if spell.critical else "#3b6ea5", linewidth=3, solid_capstyle="butt",
        )  # fmt: skip
    axes.set_yticks([len(users) + 1, *range(0, len(users), 10)], ["everybody", *users[::10]])
    axes.xaxis.set_major_formatter(dates.DateFormatter("%a %d"))
    axes.set_xlim(_date(made.begin), _date(end))
    axes.set_title(
        "Incidents (amber), benign changes (grey); alerts at warning (blue) and critical (red)", loc="left"
    )
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _date(micros: int) -> float:
    return float(dates.date2num(np.datetime64(int(micros), "us")))


def _days(micros: int) -> float:
    return float(micros / DAY_US)
