"""Verdicts for tests, by hours since the start of the tests' traffic."""

from __future__ import annotations

from typing import Any

from conftest import START_US
from seqdetect.events import MICROSECONDS, iso
from seqdetect.feedback.verdict import Verdict

HOUR_US = 3600 * MICROSECONDS


def said(verdict: str, user: str, start_h: float, end_h: float, **more: Any) -> Verdict:
    """A verdict on an alert of ``user``, given an hour after it ended."""
    times = {
        name: iso(START_US + round(hour * HOUR_US))
        for name, hour in (("start", start_h), ("end", end_h), ("at", end_h + 1.0))
    }
    return Verdict(
        **{
            "alert_id": f"{user}-{start_h:g}",
            "model": "users",
            "key": "user_id",
            "user_id": user,
            "kind": "flood",
            "severity": "warning",
            "verdict": verdict,
            "author": "ana",
        }
        | times
        | more
    )
