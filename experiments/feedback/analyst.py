"""A simulated analyst: answers a part of the alerts, and is wrong now and then."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import pandas as pd

from seqdetect.feedback.verdict import Verdict, judged, text
from seqdetect.incidents import is_benign

ANSWERED = 0.6
"""Share of the alerts that get a verdict."""
WRONG = 0.05
"""Share of the verdicts that are mistaken."""
GRACE = pd.Timedelta(minutes=5)


def verdicts(
    alerts: Sequence[dict[str, Any]], truth: pd.DataFrame, rng: np.random.Generator
) -> list[Verdict]:
    """Verdicts on ``alerts`` (last states) by someone who knows the ``truth``, given a day after each ended."""
    given = []
    for alert in alerts:
        answered, wrong = rng.random() < ANSWERED, rng.random() < WRONG
        if not answered or alert["user_id"] == "*":
            continue
        verdict, kind = _truth(alert, truth)
        if wrong:
            verdict, kind = ("false", None) if verdict == "true" else ("true", None)
        one = judged(alert, verdict, "analyst", kind=kind)
        day_after = pd.Timestamp(one.end) + pd.Timedelta(days=1)
        given.append(msgspec.structs.replace(one, at=text(day_after.to_pydatetime())))
    return given


def _truth(alert: dict[str, Any], truth: pd.DataFrame) -> tuple[str, str | None]:
    """What the alert was, and the kind that the analyst would give it."""
    start, end = pd.Timestamp(alert["start"]), pd.Timestamp(alert["end"] or alert["at"])
    own = truth[truth["user_id"] == alert["user_id"]]
    begun, ended = (pd.to_datetime(own[name], unit="us", utc=True) for name in ("start", "end"))
    own = own[(begun < end) & (ended + GRACE > start)]
    attacks = own[~is_benign(own["kind"])]
    if len(attacks):
        return "true", str(attacks["kind"].iloc[0])
    return ("benign", None) if len(own) else ("false", None)
