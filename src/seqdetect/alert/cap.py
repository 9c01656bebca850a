"""So many alerts a day and no more: what opens beyond is muted, and one alert says how many those are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from seqdetect.alert.alert import CRITICAL, EVERYBODY, Alert, named
from seqdetect.events import MICROSECONDS

DAY_US: Final = 86_400 * MICROSECONDS
OVERFLOW: Final = "overflow"


@dataclass
class Cap:
    """Counts the alerts of one day of event time (UTC) by severity; each severity has its own allowance."""

    per_day: Mapping[str, int | None]
    day: int = 0
    """Days since the epoch."""
    told: dict[str, int] = field(default_factory=dict)
    overflow: Alert | None = None
    """The open overflow alert, as it was last told of."""
    left_out: int = 0

    def admit(self, severity: str, begun: int) -> bool:
        """Whether an alert that opens with the tick from ``begun`` (microseconds) on has room, which it then takes."""
        if begun // DAY_US != self.day:
            self.day, self.told, self.left_out = begun // DAY_US, {}, 0
        limit = self.per_day.get(severity)
        if limit is not None and self.told.get(severity, 0) >= limit:
            return False
        self.told[severity] = self.told.get(severity, 0) + 1
        return True

    def leave_out(self) -> None:
        """One more alert was muted."""
        self.left_out += 1

    def news(self, begun: int, now: int, teams: tuple[str, ...]) -> tuple[str, Alert] | None:
        """The change of the overflow alert after the tick from ``begun`` to ``now`` (microseconds), if there is one.

        Twice as many as it told of last are news.
        """
        before = self.overflow
        if self.left_out == 0 or (before is not None and self.left_out < 2 * (before.left_out or 1)):
            return None
        if before is None:
            ident = named(f"{EVERYBODY}\0{OVERFLOW}", self.day * DAY_US)
            self.overflow = Alert(
                ident, EVERYBODY, begun, now, CRITICAL, OVERFLOW, 0.0, (), 0, 0, tier=CRITICAL, teams=teams
            )
        assert self.overflow is not None
        self.overflow = replace(self.overflow, last=now, left_out=self.left_out)
        return "update" if before else "open", self.overflow

    def over(self) -> int | None:
        """When the day of the open overflow alert ends, microseconds."""
        return None if self.overflow is None else (self.day + 1) * DAY_US

    def close(self) -> Alert:
        """The overflow alert, which is open no more, with the day's whole count."""
        assert self.overflow is not None
        done, self.overflow, self.left_out = replace(self.overflow, left_out=self.left_out), None, 0
        return done

    def memory(self) -> dict[str, Any]:
        """As JSON can hold it."""
        kept = {"day": self.day, "told": self.told, "overflow": self.overflow, "left_out": self.left_out}
        memory: dict[str, Any] = msgspec.to_builtins(kept)
        return memory

    def recall(self, memory: Mapping[str, Any]) -> None:
        """Take up what ``memory`` gave."""
        self.day, self.told, self.left_out = memory["day"], dict(memory["told"]), memory["left_out"]
        self.overflow = msgspec.convert(memory["overflow"], Alert | None)
