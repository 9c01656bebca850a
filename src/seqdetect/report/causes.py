"""Alerts in words: what was unusual, against what is usual for the user."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from seqdetect.events import MICROSECONDS
from seqdetect.report import quantity
from seqdetect.score.kind import UNKNOWN

LIKE_DURATIONS = ("latency", "gap", "gap_mean")
"""Features whose natural unit is milliseconds."""
LIKE_SHARES = ("errors", "repeats")
WORDS = {
    "prompt_tokens": "prompt tokens",
    "completion_tokens": "completion tokens",
    "prompt_mean": "prompt tokens per request",
    "completion_mean": "completion tokens per request",
    "prompt_dispersion": "spread of prompt sizes (log)",
    "completion_dispersion": "spread of completion sizes (log)",
    "gap": "silence before the tick",
    "gap_mean": "time between requests",
    "gap_dispersion": "irregularity of gaps (log)",
    "repeats": "requests of repeated size",
    "addresses": "distinct addresses",
    "new_addresses": "new addresses",
    "new_models": "new models",
    "errors": "failed requests",
}
"""Names as a reader knows them; a feature that isn't here goes by its own name."""


@dataclass(frozen=True)
class Told:
    """One alert as a table row; ``began`` is in microseconds, ``truth`` says what was really going on."""

    alert_id: str
    began: int
    user_id: str
    severity: str
    kind: str
    score: float
    threshold: float | None
    tokens: float | None
    causes: tuple[str, ...]
    truth: str


def moment(value: Any) -> int:
    """Microseconds since the epoch of an alert's time: integers are that already, anything else is a date."""
    if isinstance(value, int | np.integer):
        return int(value)
    stamp = pd.Timestamp(value)
    known = stamp.tz_localize("UTC") if stamp.tzinfo is None else stamp
    return int(known.as_unit("ns").value) // 1000


def cause(feature: Mapping[str, Any]) -> str:
    """``requests 132 instead of 4``."""
    name, value, usual = str(feature["name"]), feature.get("value"), feature.get("expected")
    told = f"{WORDS.get(name, name.replace('_', ' '))} {_natural(name, value)}"
    return told if usual is None else f"{told} instead of {_natural(name, usual)}"


def _natural(name: str, value: float | None) -> str:
    if value is not None and name in LIKE_DURATIONS:
        return quantity.duration(value / 1000) if value >= 1000 else f"{quantity.amount(value)} ms"
    return quantity.percent(value) if name in LIKE_SHARES else quantity.amount(value)


def causes(alert: Mapping[str, Any]) -> tuple[str, ...]:
    """The features of an alert that explain it, in words; those that don't raise the score are left out.

    At the end stands how long the evidence was gathered, where the bundle tells: it is the same for all.
    """
    features = alert.get("top_features") or []
    named = [cause(each) for each in features if (each.get("contribution") or 0) > 0 or len(features) == 1]
    scale = next((each["scale_s"] for each in features if each.get("scale_s") is not None), None)
    return (*named, f"evidence of about {quantity.duration(scale)}") if scale is not None else tuple(named)


def told(alerts: Sequence[Mapping[str, Any]], incidents: pd.DataFrame) -> list[Told]:
    """Every alert once, in order of start; of several changes to one alert the last is taken."""
    last = {str(alert["alert_id"]): alert for alert in alerts}
    rows = [
        Told(
            alert_id=name,
            began=moment(alert["start"]),
            user_id=str(alert["user_id"]),
            severity=str(alert.get("severity", "")),
            kind=str(alert.get("kind") or UNKNOWN),
            score=float(alert["score"]),
            threshold=alert.get("threshold"),
            tokens=alert.get("tokens"),
            causes=causes(alert),
            truth=_truth(alert, incidents),
        )
        for name, alert in last.items()
    ]
    return sorted(rows, key=lambda row: (row.began, row.alert_id))


def _truth(alert: Mapping[str, Any], incidents: pd.DataFrame) -> str:
    """Kinds of the user's incidents that the alert overlaps, with the five minutes in which it still counts."""
    began = moment(alert["start"])
    ended = moment(alert["end"]) if alert.get("end") is not None else began
    late = incidents["end"] + 5 * 60 * MICROSECONDS
    hit = (
        (incidents["user_id"].astype(str) == str(alert["user_id"]))
        & (incidents["start"] <= ended)
        & (late >= began)
    )
    return ", ".join(sorted(set(incidents.loc[hit, "kind"].astype(str))))
