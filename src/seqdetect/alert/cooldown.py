"""Resolved alerts that may come back: the same user's next hot step within the cooldown is the same episode."""

from __future__ import annotations

from typing import Final

from seqdetect.alert.alert import Alert

MOST: Final = 10_000
"""Resolved alerts that are remembered at most, those resolved last. A flood of users has a surge of its own; whoever
has come and gone since is told of anew. They are remembered by name, so that users whom the scorer forgets in between
(``max_users``) do not ring twice either."""


class Cooldown:
    """The alerts resolved within the last ``length`` microseconds, one per user."""

    def __init__(self, length: int) -> None:
        self.length = length
        self.resting: dict[str, tuple[int, Alert]] = {}
        """By user, in the order of their resolving: when (microseconds), and the alert."""

    def put(self, alert: Alert, resolved: int) -> None:
        """``alert`` was resolved at the time ``resolved``, which never goes back."""
        self.resting.pop(alert.user_id, None)
        self.resting[alert.user_id] = resolved, alert
        while len(self.resting) > MOST or self._first() + self.length < resolved:
            del self.resting[next(iter(self.resting))]

    def take(self, user: str, now: int) -> Alert | None:
        """The alert of ``user`` that a hot step of the tick ending at ``now`` belongs to; it is open then."""
        resolved, alert = self.resting.pop(user, (0, None))
        return alert if resolved + self.length >= now else None

    def _first(self) -> int:
        return next(iter(self.resting.values()))[0]
