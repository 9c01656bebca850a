"""Pictures of the comparison: recall against false alerts, and recall by kind."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from scorers import TIERS, Scorer, Traffic

from seqdetect.benchmark import RANDOM
from seqdetect.metrics.bootstrap import seeds_interval
from seqdetect.report.style import PALETTE, RANDOM_COLOUR

PEERS: Final = 3
"""Peers drawn beside the champion, the best by selection score."""
MARKERS: Final = ("o", "D", "s", "^")
TITLES: Final = {
    "critical": "at 1 false alert per user-week",
    "warning": "at 1 false alert per user-day",
}


def draw_recall(path: Path, traffics: Sequence[Traffic]) -> None:
    """Mean over seeds of the macro recall at each false-alert budget, a panel per traffic.

    Bands are Student's intervals, of the champion, the best peer and the random scorer alone: more hide each other.
    """
    figure = Figure(figsize=(6.5 * len(traffics), 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(traffics), squeeze=False, sharey=True)[0]
    for axes, traffic in zip(panels, traffics, strict=True):
        for place, name in enumerate(_shown(traffic)):
            _curve(axes, traffic, name, place)
        _curve(axes, traffic, RANDOM, None)
        for budget in _budgets(traffic):
            axes.axvline(budget, color="black", linewidth=0.8, alpha=0.4)
        axes.set_xscale("log")
        axes.set_ylim(0, 1)
        axes.set_title(traffic.name, fontsize=10)
        axes.set_xlabel("false alerts per user-week")
        axes.grid(alpha=0.3)
        axes.legend(frameon=False, fontsize=9, loc="upper left")
    panels[0].set_ylabel("event recall, mean over kinds")
    figure.savefig(path, dpi=110)


def _shown(traffic: Traffic) -> list[str]:
    """The champion, if there is one, and the best peers."""
    peers = [name for name in traffic.peers if name != traffic.champion][:PEERS]
    return [*_champion(traffic), *peers]


def _champion(traffic: Traffic) -> list[str]:
    return [traffic.champion] if traffic.champion else []


def _label(traffic: Traffic, name: str) -> str:
    roles = {"champion": name == traffic.champion, "best peer": name in traffic.peers[:1]}
    held = ", ".join(role for role, has in roles.items() if has)
    return f"{name} ({held})" if held else name


def _budgets(traffic: Traffic) -> list[float]:
    budgets = traffic.scorers[0].tests()[0]["budgets"]
    return [float(budgets[tier]["per_user_week"]) for tier in TIERS]


def _curve(axes: Any, traffic: Traffic, name: str, place: int | None) -> None:
    """One scorer's line and band; ``place`` among those shown gives its look, None is the random scorer."""
    budgets, mean, low, high = _mean_curve(traffic.scorer(name))
    colour = RANDOM_COLOUR if place is None else PALETTE[place]
    label = _label(traffic, name)
    if name in (*_champion(traffic), *traffic.peers[:1], RANDOM):
        axes.fill_between(budgets, low, high, color=colour, alpha=0.15, linewidth=0)
    if place is None:
        axes.plot(budgets, mean, ":", color=colour, label=label)
    else:
        width = 2.2 if name == traffic.champion else 1.2
        axes.plot(
            budgets, mean, color=colour, marker=MARKERS[place], markersize=4, linewidth=width, label=label
        )


def _mean_curve(scorer: Scorer) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Budgets, mean recall and the interval's bounds, cut to 0 to 1, [budget] each."""
    curves = [test["recall_curve"] for test in scorer.tests()]
    recall = np.array([[np.nan if p["recall"] is None else p["recall"] for p in curve] for curve in curves])
    bounds = np.array([seeds_interval(column) for column in recall.T])
    budgets = np.array([point["per_user_week"] for point in curves[0]])
    return budgets, recall.mean(axis=0), bounds[:, 0].clip(0, 1), bounds[:, 1].clip(0, 1)


def draw_kinds(path: Path, traffics: Sequence[Traffic], kinds: pd.DataFrame) -> None:
    """Recall by kind at both budgets: champion beside best peer, the random scorer as a line; a row per traffic."""
    best = kinds[(kinds["threshold"] == "best") & (kinds["strength"] == "all") & (kinds["kind"] != "all")]
    figure = Figure(figsize=(10, 5 * len(traffics)), layout="constrained")
    FigureCanvasAgg(figure)
    rows = figure.subfigures(len(traffics), 1, squeeze=False)[:, 0]
    for row, traffic in zip(rows, traffics, strict=True):
        own = best[best["traffic"] == traffic.name]
        panels = row.subplots(1, len(TIERS), sharey=True)
        for axes, tier in zip(panels, TIERS, strict=True):
            table = own[own["tier"] == tier].pivot_table("recall", "kind", "detector")
            _bars(axes, table.sort_index(ascending=False), traffic)
            axes.set_title(f"{traffic.name}: {TITLES[tier]}", fontsize=10)
            axes.set_xlabel("share of incident rows found, all seeds")
        row.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    figure.savefig(path, dpi=110)


def _bars(axes: Any, table: pd.DataFrame, traffic: Traffic) -> None:
    """Champion above best peer for each kind of ``table`` [kind, detector]."""
    names = list(dict.fromkeys([*_champion(traffic), *traffic.peers[:1]]))
    height = 0.8 / len(names)
    places = np.arange(len(table))
    for number, name in enumerate(names):
        offset = height * ((len(names) - 1) / 2 - number)
        axes.barh(places + offset, table[name], height, color=PALETTE[number], label=_label(traffic, name))
    axes.plot(table[RANDOM], places, "|", color="black", markersize=14, label=RANDOM)
    axes.set_yticks(places, table.index)
    axes.set_xlim(0, 1)
    axes.grid(alpha=0.3, axis="x")
