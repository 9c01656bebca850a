"""The last state of alerts: those that are open, and some that were resolved lately."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

Change = Mapping[str, Any]
Key = tuple[str, str]
"""Model and id."""
MOST_OPEN: Final = 2000
MOST_RESOLVED: Final = 500


class Kept(NamedTuple):
    """A change, and the part of the input that it came from."""

    part: str
    change: Change


class Alerts:
    """At most about ``MOST_OPEN`` and ``MOST_RESOLVED`` of them; where there are more, the worst stay.

    ``left_out`` counts open ones that were let go; they come back with their next change.
    """

    def __init__(self) -> None:
        self._open: dict[Key, Kept] = {}
        self._resolved: dict[Key, Kept] = {}
        self._worst: dict[tuple[str, str], int] = {}
        self.left_out = 0

    def take(self, part: str, changes: Iterable[Change]) -> None:
        """Changes in the order in which they were told."""
        for change in changes:
            key = (change["model"], change["alert_id"])
            self._open.pop(key, None)
            self._resolved.pop(key, None)
            where = self._resolved if change["change"] == "resolve" else self._open
            where[key] = Kept(part, change)
        if len(self._open) > MOST_OPEN + MOST_OPEN // 8:
            self._thin_out()
        while len(self._resolved) > MOST_RESOLVED:
            del self._resolved[next(iter(self._resolved))]
        self._worst = {}

    def begin(self, part: str, standing: Iterable[Change]) -> None:
        """``standing`` are all that are open in ``part`` now."""
        self.forget(part)
        self.take(part, standing)

    def forget(self, part: str) -> None:
        """The part is somebody else's now, and so are its open alerts."""
        self._open = {key: kept for key, kept in self._open.items() if kept.part != part}
        self._worst = {}

    def of(self, model: str, user: str) -> list[Change]:
        """All alerts of one user, oldest first."""
        own = [one for one in self if one["model"] == model and one["user_id"] == user]
        return sorted(own, key=lambda one: str(one["start"]))

    def find(self, model: str, alert_id: str) -> Change | None:
        kept = self._open.get((model, alert_id)) or self._resolved.get((model, alert_id))
        return None if kept is None else kept.change

    def rank(self, model: str, user: str) -> int:
        """2 where the user has an open critical alert, 1 for a warning, 0 for none."""
        if not self._worst:
            for one in self.open():
                who = (one["model"], one["user_id"])
                self._worst[who] = max(self._worst.get(who, 0), 2 if one["severity"] == "critical" else 1)
        return self._worst.get((model, user), 0)

    def open(self) -> list[Change]:
        """First what reaches a person, of that the criticals, of those the largest scores."""
        return [kept.change for kept in sorted(self._open.values(), key=_weight, reverse=True)]

    def resolved(self) -> list[Change]:
        """The newest first."""
        return [kept.change for kept in reversed(self._resolved.values())]

    def __iter__(self) -> Iterator[Change]:
        for kept in (*self._resolved.values(), *self._open.values()):
            yield kept.change

    def _thin_out(self) -> None:
        ordered = sorted(self._open.items(), key=lambda item: _weight(item[1]), reverse=True)
        self.left_out += len(ordered) - MOST_OPEN
        self._open = dict(ordered[:MOST_OPEN])


def _weight(kept: Kept) -> tuple[bool, bool, bool, float]:
    one = kept.change
    return (not one["shadow"], not one["muted"], one["severity"] == "critical", float(one["score"]))
