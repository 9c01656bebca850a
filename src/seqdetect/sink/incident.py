"""Under which key a pager knows an alert, so that what comes twice is one incident and what ends is the right one."""

from __future__ import annotations

from typing import Final

from seqdetect.sink import Change

RISING: Final = ("warning", "critical")
"""Severities, of which an alert never goes back to a lesser one."""


def key(change: Change) -> str:
    """The alert, how often it came back, and its severity.

    An episode that comes back is an incident anew, so a resolve that is sent again closes none of the later ones. The
    severity is in it because pagers do not call anybody again for what they take for a repetition.
    """
    return _named(change, change["severity"])


def outgrown(change: Change) -> list[str]:
    """Keys that the alert may have had at lesser severities."""
    return [_named(change, severity) for severity in RISING[: RISING.index(change["severity"])]]


def _named(change: Change, severity: str) -> str:
    again = f".{change['reopened']}" if change["reopened"] else ""
    return f"{change['alert_id']}{again}.{severity}"
