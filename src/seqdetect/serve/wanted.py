"""Which changes an output gets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from seqdetect.score.engine import LEVELS

Share = Literal["no", "only", "too"]
Severity = Literal["warning", "critical"]


@dataclass(frozen=True)
class Wanted:
    """By default what is for people: nothing of shadow models, and nothing that the daily cap has muted.

    An alert's severity and teams grow and never shrink, so who gets one change of an alert gets all that come after,
    the last one among them; the first one may be an ``update``. The same holds where a muted alert is let through
    later.
    """

    shadow: Share = "no"
    muted: Share = "no"
    teams: tuple[str, ...] = ()
    """Alerts of at least one of these; all where none are named."""
    severity: Severity = "warning"
    """The least."""

    def __call__(self, change: Mapping[str, Any]) -> bool:
        return (
            _among(self.shadow, change["shadow"])
            and _among(self.muted, change["muted"])
            and (not self.teams or not set(self.teams).isdisjoint(change["teams"]))
            and LEVELS.index(change["severity"]) >= LEVELS.index(self.severity)
        )


def _among(share: Share, marked: bool) -> bool:
    return share == "too" or (share == "only") == marked
