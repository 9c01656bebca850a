"""Verdicts as labels: a true one is an incident to learn, a false or benign one is time that must not alert."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import pandas as pd

from seqdetect.calibration.clean import AFTERMATH_S
from seqdetect.events import MICROSECONDS
from seqdetect.feedback.settle import settled
from seqdetect.feedback.verdict import BENIGN, Verdict
from seqdetect.incidents import COLUMNS, is_benign
from seqdetect.prepare import KEY, Data

log = logging.getLogger(__name__)
FEEDBACK: Final = "benign_feedback"
"""Kind of the time of a false alert, or of a benign one that nobody named."""
UNKNOWN: Final = "unknown"
EVERYBODY: Final = "*"
EXTRA: Final = ("verdict", "author", "alert_kind")
"""Columns that verdicts add to the incidents; empty in the rows of others."""


def with_verdicts(data: Data, verdicts: Sequence[Verdict]) -> Data:
    """``data`` with what people said of alerts among its incidents; ``verdicts`` is their whole history.

    Those on alerts that began after the end of calibration are held back: like all of that time they are measured
    and never trained on. So they are later than all that is learned, of every user, as they will be in service.
    """
    added = _rows(_usable(settled(verdicts), data))
    known = data.incidents
    if known is not None and len(known):
        added = added[~_touching(added, known[~is_benign(known["kind"])])]
    held = int((added["start"] >= data.spans.calibration_end).sum())
    counts = dict(Counter(added["verdict"].tolist()))
    log.info("verdicts: %s; the later %d of them are held back", counts or "none usable", held)
    if not len(added):
        return data
    parts = [added] if known is None else [known.assign(**dict.fromkeys(EXTRA, "")), added]
    return replace(data, incidents=pd.concat(parts, ignore_index=True).fillna({"strength": ""}))


def hard_negatives(incidents: pd.DataFrame) -> np.ndarray:
    """Which rows are the time of alerts that somebody judged false or benign."""
    if "verdict" not in incidents.columns:
        return np.zeros(len(incidents), bool)
    return incidents["verdict"].isin(["false", "benign"]).to_numpy(bool)


def _usable(verdicts: Sequence[Verdict], data: Data) -> list[Verdict]:
    """Those that say something of these data. A population alert names no user whose time it would be."""
    known = set(data.keys.names) - {EVERYBODY}
    # alerts of a training run call every key the user
    return [one for one in verdicts if one.key in (data.key, KEY) and one.user_id in known]


def _rows(verdicts: Sequence[Verdict]) -> pd.DataFrame:
    frame = pd.DataFrame(
        {
            "incident_id": [f"verdict-{one.alert_id}" for one in verdicts],
            "user_id": [one.user_id for one in verdicts],
            "start": _microseconds([one.start for one in verdicts]),
            "end": _microseconds([one.end for one in verdicts]),
            "kind": [_kind(one) for one in verdicts],
            "verdict": [one.verdict for one in verdicts],
            "author": [one.author for one in verdicts],
            "alert_kind": [one.kind for one in verdicts],
        }
    )
    attacks = frame["verdict"] == "true"
    contradicted = _touching(frame, frame[attacks]) & ~attacks
    return frame[~contradicted][[*COLUMNS, *EXTRA]].reset_index(drop=True)


def _kind(one: Verdict) -> str:
    if one.verdict == "true":
        kind = one.corrected or one.kind
        return UNKNOWN if kind.startswith(BENIGN) or kind == "overflow" else kind
    return one.corrected or FEEDBACK


def _microseconds(times: list[str]) -> np.ndarray:
    return pd.DatetimeIndex(pd.to_datetime(times, utc=True, format="ISO8601")).as_unit("us").asi8


def _touching(rows: pd.DataFrame, others: pd.DataFrame) -> np.ndarray:
    """Which of ``rows`` overlap a row of ``others`` of the same user, or the time just after one."""
    grace = round(AFTERMATH_S * MICROSECONDS)
    touching = np.zeros(len(rows), bool)
    by_user = dict(iter(others.groupby("user_id")))
    for place, (user, start, end) in enumerate(zip(rows["user_id"], rows["start"], rows["end"], strict=True)):
        own = by_user.get(user)
        if own is not None:
            touching[place] = bool(((own["start"] < end) & (own["end"] + grace > start)).any())
    return touching
