"""Tables of what the figures rest on: data, split, thresholds, runs, provenance."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from seqdetect.report import Run, quantity
from seqdetect.report.entry import Entry, at
from seqdetect.report.leaderboard import step_us
from seqdetect.report.quantity import MISSING

UNITS = {
    "events": "requests",
    "users": "users",
    "incidents": "incident rows",
    "state_bytes_per_user": "bytes",
    "tick_s": "s",
    "lateness_s": "s",
}
"""What the plain counts in ``metrics.json`` count."""


@dataclass(frozen=True)
class Detail:
    """A captioned table; the first row's length is that of all."""

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def details(board: Sequence[Entry], shown: Entry, provenance: Mapping[str, Any]) -> list[Detail]:
    """All tables that have rows."""
    runs = [run for entry in board for run in entry.runs]
    tables = [
        Detail("Data", ("what", "value"), _data(shown.runs)),
        Detail("Split (UTC)", ("span", "start", "end"), _split(shown)),
        Detail(f"Thresholds shipped with {shown.name}", _THRESHOLD_HEAD, _thresholds(shown)),
        Detail("Test span", ("what", "value"), _counts(shown)),
        Detail("Runs", _RUN_HEAD, tuple(_run(run) for run in runs)),
        Detail(
            "Parity of the exported graph with the trained model",
            ("detector", "seed", "record"),
            _parity(runs),
        ),
        Detail("Research only: not exported", ("detector", "reason"), _research_only(board)),
        Detail("Provenance and configuration", ("what", "value"), tuple(_flat(provenance))),
    ]
    return [table for table in tables if table.rows]


def _data(runs: Sequence[Run]) -> tuple[tuple[str, ...], ...]:
    """The data of the shown detector; of the seeds that differ all are listed."""
    rows = []
    for name in dict.fromkeys(name for run in runs for name in at(run.metrics, "data") or {}):
        stated = dict.fromkeys(_text(at(run.metrics, "data", name)) for run in runs)
        unit = UNITS.get(name, "")
        told = "; ".join(stated)
        rows.append((name.replace("_", " "), f"{told} {unit}".strip() if told != MISSING else MISSING))
    return tuple(rows)


def _split(shown: Entry) -> tuple[tuple[str, ...], ...]:
    split = shown.first("split") or {}
    return tuple((name, _text(bounds[0]), _text(bounds[1])) for name, bounds in split.items() if bounds)


_THRESHOLD_HEAD = (
    "tier",
    "seed",
    "threshold (score)",
    "budget",
    "false-alert episodes",
    "exposure (user-weeks)",
    "upper bound (per user-week)",
)


def _thresholds(shown: Entry) -> tuple[tuple[str, ...], ...]:
    rows = []
    for run in shown.runs:
        for tier, one in (at(run.metrics, "calibration", "thresholds") or {}).items():
            bound, sure = one.get("upper_bound_per_user_week"), one.get("confidence")
            rows.append(
                (
                    tier,
                    str(run.seed),
                    quantity.number(one.get("value")),
                    quantity.budget(one["budget_per_user_week"])
                    if one.get("budget_per_user_week")
                    else MISSING,
                    quantity.amount(one.get("episodes")),
                    quantity.number(one.get("exposure_user_weeks")),
                    quantity.number(bound)
                    + (f" ({quantity.percent(sure)} confidence)" if bound and sure else ""),
                )
            )
    return tuple(rows)


def _counts(shown: Entry) -> tuple[tuple[str, ...], ...]:
    counts = shown.first("test", "counts") or {}
    rows = [(name.replace("_", " "), quantity.amount(value)) for name, value in counts.items()]
    weeks = shown.first("test", "exposure_user_weeks")
    return (
        (*rows, ("clean exposure", f"{quantity.number(weeks)} user-weeks"))
        if weeks is not None
        else tuple(rows)
    )


_RUN_HEAD = ("detector", "seed", "fit", "score", "cost per step", "selection score")


def _run(run: Run) -> tuple[str, ...]:
    timing = at(run.metrics, "timing") or {}
    cost = step_us(Entry(run.detector, (run,), "challenger"))
    scored = timing.get("score_s", timing.get("replay_s"))
    return (
        run.detector,
        str(run.seed),
        quantity.duration(timing.get("fit_s")),
        quantity.duration(scored),
        MISSING if cost is None else f"{quantity.number(cost)} µs",
        quantity.number(at(run.metrics, "selection", "score")),
    )


def _parity(runs: Sequence[Run]) -> tuple[tuple[str, ...], ...]:
    rows = []
    for run in runs:
        record = at(run.metrics, "parity")
        if record:
            told = ", ".join(f"{name.replace('_', ' ')} {_text(value)}" for name, value in record.items())
            rows.append((run.detector, str(run.seed), told))
    return tuple(rows)


def _research_only(board: Sequence[Entry]) -> tuple[tuple[str, ...], ...]:
    return tuple((entry.name, str(why)) for entry in board if (why := entry.first("research_only")))


def _flat(tree: Mapping[str, Any], before: str = "") -> list[tuple[str, ...]]:
    """Nested mappings as dotted names and values."""
    rows: list[tuple[str, ...]] = []
    for name, value in tree.items():
        if isinstance(value, Mapping) and value:
            rows += _flat(value, f"{before}{name}.")
        else:
            rows.append((f"{before}{name}", _text(value)))
    return rows


def _text(value: Any) -> str:
    if value is None:
        return MISSING
    if isinstance(value, bool | str):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.4g}"
    return json.dumps(value, default=str, ensure_ascii=False)
