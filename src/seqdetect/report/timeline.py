"""One user's score, thresholds, incidents, alerts and tokens over time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from seqdetect.events import MICROSECONDS
from seqdetect.metrics.grid import MINUTE_US, microseconds
from seqdetect.report import Timeline, plots, quantity
from seqdetect.report.causes import Told
from seqdetect.report.moments import Moment, choose
from seqdetect.report.plots import Plot, safe

POINTS = 1500
"""Most scores drawn per user; of more, each span keeps the highest, the one that would have alerted."""
SILENCE_US = 10 * MINUTE_US
"""A score stays current for ten minutes (``metrics``): the line is broken beyond that."""
LEVEL_LOOKS = {"warning": ("#d99a1e", "diamond", 8), "critical": ("#d1434b", "x", 9)}
ATTACK_FILL, BENIGN_FILL = "rgba(209,67,75,0.14)", "rgba(80,120,190,0.13)"
LINE, TOKENS, ALERT = "#5b7fb0", "#7c93b5", "#b02a8f"


@dataclass(frozen=True)
class Panel:
    """A plot of one moment, with the words above it."""

    moment: Moment
    title: str
    told: str
    plot: Plot


@dataclass(frozen=True)
class _Axis:
    """Scores on an axis that is linear around the thresholds and logarithmic far above them."""

    scale: float

    def __call__(self, score: np.ndarray | float) -> Any:
        return np.arcsinh(np.asarray(score, dtype=np.float64) / self.scale)

    def ticks(self, low: float, high: float) -> tuple[list[float], list[str]]:
        """Round scores about evenly spaced over [low, high] (scores)."""
        steps = [factor * 10.0**power for power in range(-3, 7) for factor in (1, 2, 5)]
        room = (self(high) - self(low)) / 7
        kept: list[float] = []
        for value in sorted([0.0, *steps, *(-step for step in steps)]):
            # Zero is where calibrated scores begin, so it displaces a neighbour.
            near = kept and self(value) - self(kept[-1]) < room
            if value == 0 and near:
                kept.pop()
            if low <= value <= high and (not near or value == 0):
                kept.append(value)
        return [float(self(value)) for value in kept], [f"{value:g}" for value in kept]


def panels(timeline: Timeline, alerts: Sequence[Told]) -> list[Panel]:
    """One panel per chosen moment."""
    return [_panel(timeline, alerts, moment, number) for number, moment in enumerate(choose(timeline))]


def _panel(timeline: Timeline, alerts: Sequence[Told], moment: Moment, number: int) -> Panel:
    own = timeline.user_scores[timeline.user_scores["user_id"].astype(str) == moment.user_id]
    times = microseconds(own["timestamp"])
    own = own.assign(time_us=times)[(times >= moment.start) & (times <= moment.end)].sort_values("time_us")
    shown = [
        one for one in alerts if one.user_id == moment.user_id and moment.start <= one.began <= moment.end
    ]
    critical, warning = (timeline.thresholds.get(name) for name in ("critical", "warning"))
    axis = _Axis(max(abs(warning or critical or 1.0), 1e-9))
    traces = [*_scores(_thinned(own), axis), _alerts(shown, axis), _tokens(timeline.usage, moment)]
    title = _title(moment)
    label = f"Score and tokens per minute of user {moment.user_id}: {moment.verdict}, {title}"
    layout = _layout(timeline, moment, axis, own["score"].to_numpy(dtype=np.float64))
    figure = plots.plot(f"timeline-{number}", label, 430, traces, layout)
    return Panel(moment, title, _told(own, moment, critical), figure)


def _title(moment: Moment) -> str:
    if moment.kind:
        return f"{moment.kind} ({moment.strength})" if moment.strength else moment.kind
    return "unlabelled traffic" if moment.verdict == "highest score" else "normal traffic"


def _told(own: pd.DataFrame, moment: Moment, critical: float | None) -> str:
    """What happened, in a sentence."""
    if moment.incident is None:
        return (
            f"The score reached {quantity.number(moment.peak)}{_against(critical)} where nothing is labelled."
        )
    inside = own[
        (own["time_us"] > moment.incident[0]) & (own["time_us"] <= moment.incident[1] + 5 * MINUTE_US)
    ]
    lasted = quantity.duration((moment.incident[1] - moment.incident[0]) / MICROSECONDS)
    if not len(inside):
        return f"It lasted {lasted}; no step of it was scored in this window."
    told = f"It lasted {lasted}; the score reached {quantity.number(float(inside['score'].max()))}{_against(critical)}"
    first = (
        inside.loc[inside["score"] >= critical, "time_us"] if critical is not None else inside["time_us"][:0]
    )
    if not len(first):
        return f"{told}, and never became critical."
    return f"{told}, first critical {quantity.duration((int(first.iloc[0]) - moment.incident[0]) / MICROSECONDS)} after its start."


def _against(critical: float | None) -> str:
    return f" (critical from {quantity.number(critical)})" if critical is not None else ""


def _thinned(own: pd.DataFrame) -> pd.DataFrame:
    """At most ``POINTS`` rows: the highest score of each of equally long spans."""
    if len(own) <= POINTS:
        return own
    time = own["time_us"].to_numpy(dtype=np.int64)
    span = (time - time[0]) * POINTS // (int(time[-1] - time[0]) + 1)
    return own.loc[own.groupby(span)["score"].idxmax()]


def _dates(time_us: Any) -> list[str]:
    return [str(each) for each in np.asarray(time_us, dtype="datetime64[us]")]


def _told_time(date: str) -> str:
    """An ISO date as a reader likes it, to the second."""
    return f"{date[:19].replace('T', ' ')} UTC"


def _scores(own: pd.DataFrame, axis: _Axis) -> list[Any]:
    time, score = own["time_us"].to_numpy(dtype=np.int64), own["score"].to_numpy(dtype=np.float64)
    heights = np.round(axis(score), 4)
    breaks = np.flatnonzero(np.diff(time) > SILENCE_US) + 1
    line = go.Scatter(
        x=_dates(np.insert(time, breaks, time[breaks] - 1)),
        y=np.insert(heights, breaks, np.nan).tolist(),
        name="score",
        mode="lines",
        line={"color": LINE, "width": 1.3},
        hoverinfo="skip",
    )
    levels = own["level"].astype(object).fillna("none").astype(str).to_numpy(dtype=object)
    hover = [
        f"{_told_time(date)}<br>score {quantity.number(value)} · {safe(level)}{_feature(top)}"
        for date, value, level, top in zip(
            _dates(time), score.tolist(), levels, own["top_feature"], strict=True
        )
    ]
    points = [_points(time, heights, hover, levels == "none", "normal", (LINE, "circle", 3))]
    for name, look in LEVEL_LOOKS.items():
        points.append(_points(time, heights, hover, levels == name, name, look))
    return [line, *points]


def _feature(top: object) -> str:
    return f"<br>most unusual: {safe(top)}" if isinstance(top, str) and top else ""


def _points(
    time: np.ndarray,
    heights: np.ndarray,
    hover: list[str],
    rows: np.ndarray,
    name: str,
    look: tuple[str, str, int],
) -> Any:
    chosen = np.flatnonzero(rows)
    return go.Scatter(
        x=_dates(time[chosen]),
        y=heights[chosen].tolist(),
        name=name,
        mode="markers",
        marker={"color": look[0], "symbol": look[1], "size": look[2]},
        hovertext=[hover[row] for row in chosen],
        hoverinfo="text",
        showlegend=name != "normal",
    )


def _alerts(shown: Sequence[Told], axis: _Axis) -> Any:
    hover = [
        "<br>".join(
            [
                f"<b>{safe(one.severity)} alert</b> {_told_time(_dates([one.began])[0])}",
                f"score {quantity.number(one.score)}, threshold {quantity.number(one.threshold)}",
                *(safe(cause) for cause in one.causes),
            ]
        )
        for one in shown
    ]
    return go.Scatter(
        x=_dates([one.began for one in shown]),
        y=[round(float(axis(one.score)), 4) for one in shown],
        name="alert (hover for causes)",
        mode="markers",
        marker={"color": ALERT, "symbol": "circle-open", "size": 17, "line": {"width": 2.5}},
        hovertext=hover,
        hoverinfo="text",
    )


def _tokens(usage: pd.DataFrame, moment: Moment) -> Any:
    own = usage[usage["user_id"].astype(str) == moment.user_id]
    minute = microseconds(own["minute"]) // MINUTE_US
    inside = (minute >= moment.start // MINUTE_US) & (minute <= moment.end // MINUTE_US)
    per_minute = own.loc[inside, ["requests", "tokens"]].groupby(minute[inside]).sum()
    return go.Bar(
        x=_dates(per_minute.index.to_numpy(dtype=np.int64) * MINUTE_US),
        y=per_minute["tokens"].tolist(),
        name="tokens per minute",
        marker={"color": TOKENS, "line": {"width": 0}},
        width=MINUTE_US / 1000,
        offset=0,
        hovertext=[
            f"{quantity.plural(int(n), 'request')}, {quantity.plural(int(t), 'token')}"
            for n, t in per_minute.itertuples(index=False)
        ],
        hoverinfo="x+text",
        yaxis="y2",
        showlegend=False,
    )


def _layout(timeline: Timeline, moment: Moment, axis: _Axis, score: np.ndarray) -> dict[str, Any]:
    limits = [value for value in timeline.thresholds.values() if np.isfinite(value)]
    low, high = (float(edge([*score.tolist(), *limits, 0.0])) for edge in (min, max))
    places, names = axis.ticks(low, high)
    pad = 0.06 * float(axis(high) - axis(low) or 1.0)
    shapes, notes = _incidents(timeline.incidents, moment)
    for name, value in timeline.thresholds.items():
        dash = "solid" if name == "critical" else "dash"
        colour = LEVEL_LOOKS.get(name, LEVEL_LOOKS["warning"])[0]
        height = float(axis(value))
        line = {"color": colour, "width": 1.2, "dash": dash}
        shapes.append(
            {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": height, "y1": height, "line": line}
        )
        place = {"xref": "paper", "x": 1, "xanchor": "right", "y": height, "yanchor": "bottom"}
        notes.append(
            {**place, "text": f"{name} {quantity.number(value)}", "showarrow": False, "font": {"size": 11}}
        )
    score_axis = {"title": {"text": "score"}, "domain": [0.36, 1], "tickvals": places, "ticktext": names}
    return {
        "xaxis": {"range": _dates([moment.start, moment.end]), "anchor": "y2", "type": "date"},
        "yaxis": {**score_axis, "range": [float(axis(low)) - pad, float(axis(high)) + 2 * pad]},
        "yaxis2": {
            "title": {"text": "tokens / min"},
            "domain": [0, 0.26],
            "rangemode": "tozero",
            "nticks": 4,
        },
        "shapes": shapes,
        "annotations": notes,
        "hovermode": "closest",
    }


def _incidents(incidents: pd.DataFrame, moment: Moment) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Shaded intervals of the user's incidents, each with its kind above."""
    own = incidents[incidents["user_id"].astype(str) == moment.user_id]
    own = own[(own["end"] >= moment.start) & (own["start"] <= moment.end)]
    shapes: list[dict[str, Any]] = []
    notes: list[dict[str, Any]] = []
    bounds = own[["start", "end"]].to_numpy(dtype=np.int64).clip(moment.start, moment.end)
    for kind, (start, end) in zip(own["kind"].astype(str), bounds, strict=True):
        benign = kind.startswith("benign_")
        first, last = _dates([start, end])
        line = {"color": "#5078be" if benign else "#d1434b", "width": 1, "dash": "dot" if benign else "solid"}
        box = {"type": "rect", "yref": "paper", "y0": 0, "y1": 1, "x0": first, "x1": last, "layer": "below"}
        shapes.append({**box, "line": line, "fillcolor": BENIGN_FILL if benign else ATTACK_FILL})
        text = f"{safe(kind)}{' — benign' if benign else ' — attack'}"
        notes.append(
            {
                "x": first,
                "yref": "paper",
                "y": 1,
                "xanchor": "left",
                "yanchor": "bottom",
                "text": text,
                "showarrow": False,
            }
        )
    return shapes, notes
