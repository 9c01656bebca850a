"""Figures over all detectors. Each is drawn in the browser from JSON; colours of text and grid are the page's."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

from seqdetect.report import quantity
from seqdetect.report.entry import BASELINES, Entry
from seqdetect.report.style import Look

SECONDS_TICKS = (1, 3, 10, 30, 60, 180, 600, 1800, 3600, 3 * 3600, 10 * 3600, 86_400, 3 * 86_400)


@dataclass(frozen=True)
class Plot:
    """A figure as JSON for a ``<script>`` element, its height in pixels, and what it shows for those who can't see it."""

    name: str
    label: str
    height: int
    json: str


def plot(name: str, label: str, height: int, traces: Sequence[Any], layout: Mapping[str, Any]) -> Plot:
    """Checks the figure's attributes and packs it."""
    figure = go.Figure(data=list(traces), layout={**layout, "template": "none"})
    # The page's script element must not be closed by a user's name.
    return Plot(name, label, height, figure.to_json().replace("<", "\\u003c"))


def safe(text: object) -> str:
    """Text for a plot's labels, which read a little HTML."""
    return html.escape(str(text), quote=False)


def recall_curves(
    board: Sequence[Entry], chance: Entry | None, looks: Mapping[str, Look], budgets: Mapping[str, float]
) -> Plot | None:
    """Recall against the false-alert budget, mean over seeds; None where no recall was measured."""
    shown = [*board, chance] if chance else list(board)
    traces = []
    for entry in shown:
        curve = _mean_curve(entry)
        if len(curve):
            text = [
                f"{safe(entry.name)}<br>recall {quantity.number(r)} at {quantity.number(b)} per user-week"
                for b, r in curve
            ]
            traces.append(_line(entry, looks[entry.name], curve, text, every=4))
    if not traces:
        return None
    # Labels point away from each other, so that they don't collide on a narrow page.
    sides = ["right", *["left"] * len(budgets)]
    lines = [
        _vertical(value, quantity.budget(value), side)
        for value, side in zip(sorted(budgets.values()), sides, strict=False)
    ]
    layout = {
        "xaxis": {"type": "log", "title": {"text": "false alerts allowed per user-week (log)"}, "dtick": 1},
        "yaxis": {"title": {"text": "event recall (macro mean)"}, "range": [-0.02, 1.03]},
        "shapes": [shape for shape, _ in lines],
        "annotations": [note for _, note in lines],
    }
    return plot(
        "recall-curves",
        "Event recall against false alerts allowed, one line per detector",
        460,
        traces,
        layout,
    )


def _mean_curve(entry: Entry) -> np.ndarray:
    """Budgets and mean recall over seeds [point, 2], points without recall left out."""
    points: dict[float, list[float]] = {}
    for curve in entry.all("test", "recall_curve"):
        for point in curve:
            if point["recall"] is not None:
                points.setdefault(point["per_user_week"], []).append(point["recall"])
    return np.array([[budget, float(np.mean(recalls))] for budget, recalls in sorted(points.items())])


def _line(entry: Entry, look: Look, curve: np.ndarray, text: Sequence[str], every: int) -> Any:
    return go.Scatter(
        x=curve[:, 0].tolist(),
        y=curve[:, 1].tolist(),
        name=safe(entry.name),
        mode="lines+markers",
        line={"color": look.colour, "dash": look.dash, "width": look.width},
        # Marking every point of many lines hides them; some are enough to tell lines apart without colour.
        marker={"symbol": look.marker, "size": 7, "maxdisplayed": max(2, len(curve) // every)},
        hovertext=list(text),
        hoverinfo="text",
        # The champion lies above the others where lines cross.
        zorder=2 if entry.role == "champion" else 1,
    )


def _vertical(value: float, text: str, side: str) -> tuple[dict[str, Any], dict[str, Any]]:
    line = {"color": "#8a8f98", "width": 1, "dash": "dot"}
    shape = {"type": "line", "x0": value, "x1": value, "yref": "paper", "y0": 0, "y1": 1, "line": line}
    place = {"x": float(np.log10(value)), "xanchor": side, "yref": "paper", "y": 1, "yanchor": "bottom"}
    return shape, {**place, "text": text, "showarrow": False}


def pr_curves(board: Sequence[Entry], chance: Entry | None, looks: Mapping[str, Look]) -> Plot | None:
    """Precision against recall over pooled minutes, first seed of each detector."""
    traces = []
    for entry in [*board, chance] if chance else board:
        curve = entry.first("test", "pr_curve")
        if curve:
            points = np.array([curve["recall"], curve["precision"]]).T
            text = [
                f"{safe(entry.name)}<br>precision {quantity.number(p)} at recall {quantity.number(r)}"
                for r, p in points.tolist()
            ]
            traces.append(_line(entry, looks[entry.name], points, text, every=20))
    if not traces:
        return None
    layout = {
        "xaxis": {"title": {"text": "recall of positive minutes"}, "range": [0, 1.01]},
        "yaxis": {"title": {"text": "precision"}, "range": [-0.02, 1.03]},
    }
    return plot(
        "pr-curves", "Precision against recall of minutes, one line per detector", 460, traces, layout
    )


def delays(board: Sequence[Entry], looks: Mapping[str, Look]) -> Plot | None:
    """Median time to detect per kind at the tightest shipped threshold; the best few detectors and the baselines."""
    shown = [
        entry for i, entry in enumerate(board) if i < 4 or entry.name in BASELINES or entry.role == "champion"
    ]
    traces = []
    for entry in shown:
        rows = kind_delays(entry)
        if rows:
            look = looks[entry.name]
            traces.append(
                go.Scatter(
                    x=[median for _, median, _, _ in rows],
                    y=[safe(kind) for kind, _, _, _ in rows],
                    name=safe(entry.name),
                    mode="markers",
                    marker={
                        "color": look.colour,
                        "symbol": look.marker,
                        "size": 15 if look.width > 3 else 10,
                        "opacity": 0.9,
                    },
                    error_x=_to_p90(rows, look) if entry.role == "champion" else None,
                    hovertext=[
                        f"{safe(entry.name)} · {safe(kind)}<br>median {quantity.duration(m)}, 90 % within {quantity.duration(p)}"
                        f"<br>{quantity.plural(n, 'row')} found"
                        for kind, m, p, n in rows
                    ],
                    hoverinfo="text",
                )
            )
    if not traces:
        return None
    kinds = sorted({kind for trace in traces for kind in trace.y}, reverse=True)
    layout = {
        "xaxis": {
            "type": "log",
            "title": {"text": "median time to detect (log)"},
            "tickvals": list(SECONDS_TICKS),
            "ticktext": [quantity.duration(value) for value in SECONDS_TICKS],
        },
        "yaxis": {"categoryorder": "array", "categoryarray": kinds, "automargin": True},
    }
    label = "Median time to detect by attack kind, one marker per detector"
    return plot("delays", label, 180 + 36 * len(kinds), traces, layout)


def _to_p90(rows: Sequence[tuple[str, float, float, int]], look: Look) -> dict[str, Any]:
    reach = [p90 - median for _, median, p90, _ in rows]
    return {
        "type": "data",
        "symmetric": False,
        "array": reach,
        "arrayminus": [0.0] * len(reach),
        "color": look.colour,
        "thickness": 1.5,
    }


def kind_delays(entry: Entry) -> list[tuple[str, float, float, int]]:
    """Kind, median and 90th percentile in seconds (median over seeds), rows found (sum over seeds)."""
    tables = entry.all(*entry.point("critical", "shipped"), "time_to_detect", "kinds")
    rows = []
    for kind in sorted({kind for table in tables for kind in table}):
        cells = [table[kind] for table in tables if table.get(kind) and table[kind]["found"]]
        if cells:
            medians, late = ([cell[name] for cell in cells] for name in ("median_s", "p90_s"))
            rows.append(
                (
                    kind,
                    float(np.median(medians)),
                    float(np.median(late)),
                    sum(cell["found"] for cell in cells),
                )
            )
    return rows


def training_curves(board: Sequence[Entry], looks: Mapping[str, Look]) -> list[Plot]:
    """Losses per epoch, first seed of each detector that has epochs."""
    plots = []
    for entry in board:
        history = next((found for found in entry.all("history") if found), None)
        if history:
            plots.append(_training(entry.name, history, looks[entry.name]))
    return plots


def _training(name: str, history: Sequence[Mapping[str, Any]], look: Look) -> Plot:
    epochs = list(range(1, len(history) + 1))
    traces = [
        go.Scatter(
            x=epochs,
            y=[epoch.get(loss) for epoch in history],
            name=loss.replace("_", " "),
            mode="lines+markers",
            line={"color": look.colour, "dash": dash, "width": 2},
            marker={"symbol": symbol, "size": 7},
            hovertemplate="epoch %{x}: %{y:.4g}",
        )
        for loss, dash, symbol in (
            ("train_loss", "solid", "circle"),
            ("validation_loss", "dash", "diamond-open"),
        )
    ]
    layout = {
        "title": {"text": safe(name)},
        "xaxis": {"title": {"text": "epoch"}, "tickformat": "d"},
        "yaxis": {"title": {"text": "loss"}},
    }
    return plot(f"training-{name}", f"Training and validation loss of {name} by epoch", 300, traces, layout)
