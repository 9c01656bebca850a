"""A surge: alerts of many users that begin together are one alert of the whole population.

Its kind is what the causes of its users' alerts have in common. Where they say no more than that there are more
requests, or longer ones, or have nothing in common, and the evidence (``triage``) says that one hand is behind it, it is
a botnet.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from seqdetect.alert.alert import EVERYBODY, Alert, joined, named
from seqdetect.alert.aspect import Aspect, aspect
from seqdetect.alert.crowd import JUDGED, MINUTE_US, Crowd
from seqdetect.alert.evidence import ATTACK, UNCLEAR
from seqdetect.alert.triage import Calendar, Moment, triage
from seqdetect.events import MICROSECONDS
from seqdetect.score.engine import LEVELS, Scored
from seqdetect.score.kind import UNKNOWN

LEAST_USERS: Final = 5
"""Fewer users than this are reported one by one."""
LEAST_SHARE: Final = 0.1
"""A surge reaches at least this share of the users active in the last hour."""
TOGETHER_S: Final = 900.0
"""Alerts that begin within this time begin together; a user counts as surging for as long after a hot step."""
ACTIVE_S: Final = 3600.0
NEARLY_ALL: Final = 0.8
"""Share of the users that must send more of the same for a surge to be a campaign: single steps mislead."""
KINDS: Final = {
    Aspect.RATE: "benign_campaign",
    Aspect.LENGTHS: "inflation",
    Aspect.ADDRESSES: "botnet",
    Aspect.ANSWERS: "degradation",
    Aspect.OTHER: UNKNOWN,
}
OPEN_TO_DOUBT: Final = tuple(KINDS[about] for about in (Aspect.RATE, Aspect.LENGTHS, Aspect.OTHER))
"""Kinds that evidence of an attack turns into a botnet: more requests, or longer ones, may be anybody's."""
MOST_KEPT: Final = 100_000
"""Users of a surge that are remembered one by one, those hot last: as many as make a surge among a million. Whoever
sends events may invent users without end; those forgotten are still counted."""
JUDGED_S: Final = 60.0
"""The evidence is looked at anew this often: a surge's first minute tells less than its tenth."""


def least(active: int) -> float:
    """How many users make a surge where ``active`` users sent something in the last hour."""
    return max(LEAST_USERS, LEAST_SHARE * active)


def surge_kind(aspects: Iterable[Aspect]) -> str:
    """What a surge is, by what its users' alerts are about: a campaign, or the leading change of composition."""
    count = Counter(aspects)
    if count[Aspect.RATE] >= NEARLY_ALL * count.total():
        return KINDS[Aspect.RATE]
    del count[Aspect.RATE]
    return KINDS[max(count, key=lambda one: (count[one], one.name))]


def refined(kind: str, verdict: str | None) -> str:
    """The ``kind`` that the causes tell, in the light of the evidence."""
    return KINDS[Aspect.ADDRESSES] if verdict == ATTACK and kind in OPEN_TO_DOUBT else kind


class Active:
    """Who sent something in the last hour of event time."""

    def __init__(self) -> None:
        self._last: NDArray[np.int64] = np.zeros(0, np.int64)

    def note(self, scored: Scored, rows: slice) -> NDArray[np.int64]:
        """Take in steps; ``rows`` are those of whole ticks and go on where those of the last call ended.

        Returns the end of the tick of each one's user's step before it (microseconds, [rows]), 0 where there is none.
        """
        missing = len(scored.names) - len(self._last)
        if missing > 0:
            self._last = np.pad(self._last, (0, missing + len(scored.names)))
        begin, parts = rows.start, []
        for tick, gone in scored.forgotten.items():
            end = int(np.searchsorted(scored.tick, tick, "right"))
            if rows.start < end <= rows.stop:
                parts.append(self._seen(scored.user[begin:end], scored.tick[begin:end]))
                self._last[gone] = 0
                begin = end
        parts.append(self._seen(scored.user[begin : rows.stop], scored.tick[begin : rows.stop]))
        return np.concatenate(parts)

    def _seen(self, user: NDArray[np.int32], tick: NDArray[np.int64]) -> NDArray[np.int64]:
        before = self._last[user]
        self._last[user] = tick
        if len(tick) and tick[0] != tick[-1]:
            # numpy sorts 16 bits several times faster
            order = np.argsort(user.astype(np.uint16) if len(self._last) <= 1 << 16 else user, kind="stable")
            again = np.flatnonzero(user[order][1:] == user[order][:-1])
            before[order[again + 1]] = tick[order[again]]
        return before

    def restore(self, last: NDArray[np.int64]) -> None:
        """Go on from each user's last step ``[users]``, microseconds, 0 for none."""
        self._last = last.copy()

    def count(self, now: int) -> int:
        """Users with a step in the hour before ``now`` (microseconds)."""
        return int((self._last > max(0, now - round(ACTIVE_S * MICROSECONDS))).sum())


@dataclass
class Surge:
    """An open population alert, and the users in it."""

    alert: Alert
    aspects: dict[str, tuple[float, Aspect]] = field(default_factory=dict)
    """Largest score of each user, and what that step was about."""
    hot: dict[str, int] = field(default_factory=dict)
    """Each user's last step at warning or above, microseconds; the last one comes last."""
    gone: int = 0
    """Users that were forgotten; one that comes again counts again."""
    broad: int = 0
    """The last time it was still broad, microseconds."""
    told: Alert | None = None
    """The alert as it was last told of."""
    by_causes: str = UNKNOWN
    """What it is by its causes alone."""
    leaning: str = UNKNOWN
    """The same, as it stood when it was last looked at."""
    judged: int = 0
    """When causes and evidence were last looked at, microseconds."""

    @classmethod
    def of(cls, alerts: Sequence[Alert]) -> Surge:
        """A surge that begins as the first of ``alerts`` opens, or opens again; they say what it is, and none is in it."""
        start = min(alert.since for alert in alerts)
        last = max(alert.last for alert in alerts)
        aspects = {alert.user_id: (alert.score, aspect(alert.causes)) for alert in alerts}
        kind = surge_kind(about for _, about in aspects.values())
        empty = Alert(
            named(EVERYBODY, start),
            EVERYBODY,
            start,
            last,
            LEVELS[1],
            kind,
            -np.inf,
            (),
            0,
            0,
            users=0,
            cost=0,
        )
        return cls(empty, aspects, broad=last, by_causes=kind, leaning=kind)

    @property
    def verdict(self) -> str | None:
        """What the evidence says: campaign, attack or unclear; None before it was looked at."""
        return None if self.alert.triage is None else self.alert.triage["verdict"]

    def may_be(self, kind: str) -> bool:
        """Whether this surge is of that ``kind``, or will be if the evidence says so."""
        return kind in (self.by_causes, refined(self.by_causes, ATTACK))

    def takes(self, alert: Alert) -> bool:
        """Whether ``alert`` of one user is part of the surge.

        It is not where a critical step changed in a way that the surge did not: among many who send more of the
        same, one stolen key is that user's affair.
        """
        about = aspect(alert.causes)
        same = about is Aspect.RATE or KINDS[about] in (self.by_causes, self.alert.kind)
        return same or alert.tier != LEVELS[-1]

    def add(self, alert: Alert) -> None:
        """Count ``alert`` of one user in."""
        user = alert.user_id
        if alert.score >= self.aspects.get(user, (-np.inf, Aspect.OTHER))[0]:
            self.aspects[user] = alert.score, aspect(alert.causes)
        self.hot.pop(user, None)
        self.hot[user] = alert.last
        self.alert = replace(joined(self.alert, alert), kind=self.alert.kind)

    def leave(self, user: str) -> None:
        """``user`` has an alert of its own."""
        self.aspects.pop(user, None)
        self.hot.pop(user, None)

    def settle(self, now: int, active: int) -> None:
        """Once per tick: how many they are, and whether it is broad still, by half of what began it."""
        while len(self.hot) > MOST_KEPT:
            oldest = next(iter(self.hot))
            self.leave(oldest)
            self.gone += 1
        self.alert = replace(self.alert, users=self.gone + len(self.hot))
        if 2 * self._surging(now) >= least(active):
            self.broad = now

    def judge(self, crowd: Crowd, now: int, active: int, calendar: Calendar) -> None:
        """Look at causes and evidence, if that is due at ``now`` (microseconds).

        A change of the causes counts when it is there twice running: while users come and go the lead changes often. A
        verdict stands: what was clear does not become unclear by coming to its end, and an attack that is over does not
        become a campaign because the traffic goes on.
        """
        if now < self.judged + round(JUDGED_S * MICROSECONDS):
            return
        self.judged = now
        if self.aspects:
            before, self.leaning = self.leaning, surge_kind(about for _, about in self.aspects.values())
            self.by_causes = self.leaning if self.leaning == before else self.by_causes
        if now <= self.alert.since + JUDGED * MINUTE_US:  # later the time before is no measure of the present
            moment = Moment(self.alert.start, self.alert.since, now, self._surging(now), active)
            found = triage(crowd, moment, calendar)
            if self.verdict in (None, UNCLEAR) or found.verdict in (self.verdict, ATTACK):
                self.alert = replace(self.alert, triage=found.payload())
        self.alert = replace(self.alert, kind=refined(self.by_causes, self.verdict))

    def _surging(self, now: int) -> int:
        """How many had a hot step lately."""
        since = now - round(TOGETHER_S * MICROSECONDS)
        return sum(last >= since for last in self.hot.values())

    def news(self) -> str | None:
        """The change that there is to tell of, if any, which then counts as told; twice as many users are news."""
        before, self.told = self.told, self.alert
        if before is None:
            return "open"
        if any(getattr(before, name) != getattr(self.alert, name) for name in ("severity", "kind")):
            return "update"
        if (before.triage or {}).get("verdict") != self.verdict:
            return "update"
        if self.alert.users >= 2 * before.users:
            return "update"
        self.told = before
        return None
