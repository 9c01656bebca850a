"""What the page shows, kept as it happens: written by the scoring thread, read by the web server's."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from seqdetect.alert.alert import EVERYBODY
from seqdetect.score.engine import Scored
from seqdetect.score.kind import UNKNOWN
from seqdetect.scorer import Scorer
from seqdetect.serve.page.alerts import Alerts, Change
from seqdetect.serve.page.cost import costs
from seqdetect.serve.page.hour import Totals, largest
from seqdetect.serve.page.rings import Rings, records
from seqdetect.serve.page.track import Track
from seqdetect.serve.page.watch import Watch, Watched, Worst

RERANK_S: Final = 5.0
"""How often it is looked who is to be watched, at most."""
ASKED_S: Final = 1.0
"""How long a ranking that somebody asked for is good, at least."""
SHARE: Final = 0.01
"""Of the time that may go into one ranking, which takes long by the number of users: it comes less often then."""
TOP: Final = 25
"""Users at the top of each ranking who are watched."""


RANKINGS: Final[Mapping[str, Callable[[Totals], NDArray[np.float32]]]] = {
    "score": lambda totals: totals.score,
    "tokens": lambda totals: totals.prompt + totals.completion,
    "cost": lambda totals: totals.usd,
}
"""What users can be put in order by."""


@dataclass(frozen=True)
class Shown:
    """A model as the page needs to know it."""

    name: str
    key: str
    shadow: bool
    tick_s: float
    thresholds: Mapping[str, float]
    prices: Any
    version: str


@dataclass(frozen=True)
class User:
    """What one user did in the last hour."""

    name: str
    score: float
    prompt_tokens: int
    completion_tokens: int
    usd: float | None
    watched: bool


@dataclass(frozen=True)
class Timeline:
    """The steps that are kept of one user, oldest first; None where none are: who is known is watched from now on."""

    known: bool
    steps: NDArray[np.void] | None
    worst: Sequence[Worst]
    alerts: Sequence[Change]


class Board:
    """Alerts, the last hour of everybody, and the last ``steps`` steps of ``users`` users.

    Watched are those with an alert, those at the top of the last hour and those that somebody looked at; steps from
    before a user was watched are not known, and nothing outlives the process but what checkpoints bring back: the
    open alerts. Memory is bounded: 37 bytes for each of ``users`` times ``steps``, and 98 per user remembered.
    """

    def __init__(self, users: int, steps: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._lock = Lock()
        self._clock = clock
        self._alerts = Alerts()
        self._watch = Watch(users, lambda who: self._alerts.rank(*who))
        self._rings = Rings(users, steps)
        self._tracks: dict[tuple[str, str], Track] = {}
        self._asked: set[tuple[str, str]] = set()
        self._rerank_at = -np.inf
        self._rankings: dict[tuple[str, str, int], tuple[float, list[User]]] = {}
        self._now: int | None = None
        self.models: dict[str, Shown] = {}

    # ---- told by the scoring thread

    def begin(self, part: str, scorer: Scorer) -> None:
        """``scorer`` takes up ``part``, or goes on with other models; its open alerts are known from now on."""
        with self._lock:
            heads = [(lane, head) for lane in scorer.lanes for head in lane.heads]
            self.models = {head.name: _shown(lane.key, head) for lane, head in heads}
            before, self._tracks = self._tracks, {k: t for k, t in self._tracks.items() if k[0] != part}
            for lane, head in heads:
                old = before.get((part, head.name))
                same = old is not None and old.keys is lane.stream.keys
                self._tracks[part, head.name] = old if same and old is not None else Track(lane.stream.keys)
            self._alerts.begin(part, scorer.standing())
            self._rankings = {}
            self._watch.keep(self.models)
            self._place()

    def forget(self, part: str) -> None:
        """The part is somebody else's now."""
        with self._lock:
            self._tracks = {key: track for key, track in self._tracks.items() if key[0] != part}
            self._alerts.forget(part)
            self._rankings = {}

    def scored(self, part: str, model: str, scored: Scored) -> None:
        """Take in the steps that ``model`` has scored; the changes that they cause come after."""
        if not len(scored):
            return
        with self._lock:
            track = self._tracks[part, model]
            track.hour.add(scored, costs(scored, self.models[model].prices))
            self._now = max(self._now or 0, int(scored.tick[-1]))
            now = self._clock()
            hot = self._note_hot(model, scored, now)
            if now >= self._rerank_at:
                self._rerank(now)
                self._rerank_at = self._good_until(now, RERANK_S)
                hot = True
            if hot:
                self._place()
            rows, rings = track.watched(scored)
            self._rings.put(rings, records(scored, rows))

    def changed(self, part: str, changes: Iterable[Change]) -> None:
        """Changes of alerts in ``part``, in order."""
        with self._lock:
            self._alerts.take(part, changes)

    # ---- asked by the web server's

    def now(self) -> int | None:
        """The end of the last tick that was scored, microseconds; None before the first."""
        return self._now

    def open(self) -> tuple[list[Change], int]:
        """The open alerts, the worst first, and how many more are not kept."""
        with self._lock:
            return self._alerts.open(), self._alerts.left_out

    def resolved(self) -> list[Change]:
        """Alerts resolved lately, the newest first."""
        with self._lock:
            return self._alerts.resolved()

    def alert(self, model: str, alert_id: str) -> Change | None:
        """The last state of an alert."""
        with self._lock:
            return self._alerts.find(model, alert_id)

    def top(self, model: str, by: str, count: int) -> list[User]:
        """The users of the last hour with the most of ``by``: one of ``RANKINGS``."""
        with self._lock:
            now, asked = self._clock(), (model, by, count)
            if asked not in self._rankings or now >= self._rankings[asked][0]:
                users = self._ranked(model, by, count, self._totals(model))
                self._rankings[asked] = self._good_until(now, ASKED_S), users
            return self._rankings[asked][1]

    def timeline(self, model: str, user: str) -> Timeline:
        """What is kept of ``user``, who is watched from now on."""
        with self._lock:
            alerts = self._alerts.of(model, user)
            watched = self._watch.get((model, user))
            if watched is None:
                known = any(track.keys.find(user) is not None for track in self._of(model))
                if known:
                    self._asked.add((model, user))
                    self._rerank_at = min(self._rerank_at, self._clock() + ASKED_S)
                return Timeline(known, None, [], alerts)
            watched.wanted = self._clock()
            steps = self._rings.steps(watched.ring)
            steps = steps[np.argsort(steps["tick"], kind="stable")]  # a user may be in several parts
            return Timeline(True, steps, sorted(watched.worst.values(), key=lambda one: -one.score), alerts)

    # ---- with the lock held

    def _note_hot(self, model: str, scored: Scored, now: float) -> bool:
        new = False
        for row, causes in scored.causes.items():
            who = (model, scored.names[scored.user[row]])
            new |= self._watch.get(who) is None
            watched = self._wanted(who, int(scored.level[row]), now)
            if watched is not None:
                step = Worst(float(scored.score[row]), int(scored.tick[row]), scored.kind.get(row, UNKNOWN),
                             tuple(causes))  # fmt: skip
                watched.note(step)
        return new

    def _wanted(self, who: tuple[str, str], rank: int, now: float) -> Watched | None:
        known = self._watch.get(who)
        watched = self._watch.want(who, rank, now)
        if known is None and watched is not None:
            self._rings.clear(watched.ring)
        return watched

    def _rerank(self, now: float) -> None:
        """Watch who is at the top, who has an alert since before the start, and who was asked for."""
        for who in self._asked:
            self._wanted(who, 0, now)
        self._asked.clear()
        for one in self._alerts.open():
            who = (one["model"], one["user_id"])
            if one["user_id"] != EVERYBODY and self._watch.get(who) is None:
                self._wanted(who, self._alerts.rank(*who), now)
        for model in (one.name for one in self.models.values() if not one.shadow):
            totals = self._totals(model)
            for by in RANKINGS:
                for user in self._ranked(model, by, TOP, totals):
                    self._wanted((model, user.name), 0, now)

    def _good_until(self, begun: float, least_s: float) -> float:
        return begun + max(least_s, (self._clock() - begun) / SHARE)

    def _totals(self, model: str) -> list[tuple[Track, Totals]]:
        return [(track, track.hour.totals()) for track in self._of(model)]

    def _ranked(self, model: str, by: str, count: int, known: list[tuple[Track, Totals]]) -> list[User]:
        found: list[tuple[float, User]] = []
        for track, totals in known:
            values = RANKINGS[by](totals)
            found += [
                (float(values[row]), self._user(model, track.hour.names[row], totals, row))
                for row in largest(values, count).tolist()
            ]
        return [user for _, user in sorted(found, key=lambda one: -one[0])[:count]]

    def _user(self, model: str, name: str, totals: Totals, row: int) -> User:
        cost = float(totals.usd[row])
        return User(
            name,
            float(totals.score[row]),
            round(float(totals.prompt[row])),
            round(float(totals.completion[row])),
            None if np.isnan(cost) or self.models[model].prices is None else cost,
            self._watch.get((model, name)) is not None,
        )

    def _of(self, model: str) -> list[Track]:
        return [track for (_, name), track in self._tracks.items() if name == model]

    def _place(self) -> None:
        watched: dict[str, list[Watched]] = {}
        for one in self._watch:
            watched.setdefault(one.who[0], []).append(one)
        for (_, model), track in self._tracks.items():
            track.place(watched.get(model, []))


def _shown(key: str, head: Any) -> Shown:
    book, meta = head.book, head.judge.bundle.metadata
    return Shown(
        head.name, key, head.shadow, meta.tick_s, dict(head.judge.thresholds), book.prices, meta.version
    )
