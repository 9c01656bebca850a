"""Inject attacks and confounders into real or synthetic traffic, and label them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from seqdetect import events as ev
from seqdetect import incidents as labels
from seqdetect.attack import STRENGTHS, Attack, Outcome, Scene, Strength
from seqdetect.attack.plan import Calendar, Draw, deck
from seqdetect.attack.strength import DAY, HOUR, scaled

COLUMNS = [*labels.COLUMNS, "strength"]
LEAST_CLEAN = 0.3
"""Share of users that are never attacked, at least: false alerts are counted on users who did nothing."""
CROWD = 1_000_000


@dataclass(frozen=True)
class Injector:
    """Plans incidents over a stretch of time and carries them out.

    ``attacks`` maps names of one's choice to attacks; an empty mapping leaves the traffic as it is.

    What surprises: service-wide attacks (those that hit all users) come on top of ``count``, hit clean
    users too, and come first, so that the others meet the traffic as it then is. Incidents that find no room
    are left out. "Users present" are those with ``least_history`` events before the start.
    """

    attacks: Mapping[str, Attack]
    per_user_day: float = 1.25
    """Incident rows per present user and day; 60 users and one day make about 75."""
    clean: float = 0.35
    """Share of the present users without any incident of their own, at least ``LEAST_CLEAN``."""
    service_per_day: float = 1.0
    """Service-wide incidents per day, at most 1; any stretch gets at least one, unless this is 0."""
    strengths: Sequence[Strength] = STRENGTHS
    seldom: Sequence[str] = ("benign_campaign", "benign_migration")
    """Kinds that are drawn once where others are drawn once per strength."""
    margin_hours: float = 2.0
    """Time kept between two incidents of a user, hours."""
    least_history: int = 10
    """Events a user must have before the start to be attacked: "usual" needs a past."""

    def __post_init__(self) -> None:
        if not LEAST_CLEAN <= self.clean <= 1:
            raise ValueError(
                f"clean is the share of users never attacked, {LEAST_CLEAN} to 1; got {self.clean}"
            )
        if not 0 <= self.service_per_day <= 1:
            raise ValueError(
                f"service_per_day is 0 to 1 service-wide incidents a day; got {self.service_per_day}"
            )

    def inject(
        self,
        events: pa.Table,
        start: int,
        end: int,
        rng: np.random.Generator,
        count: int | None = None,
        vary: tuple[float, float] = (1.0, 1.0),
    ) -> tuple[pa.Table, pd.DataFrame]:
        """``events`` with incidents in [start, end) (microseconds), sorted, and their labels.

        Labels have the columns ``COLUMNS``. ``count`` is how many label rows to aim at, in place of
        ``per_user_day``. Each incident's factors and hours are multiplied by a number drawn from ``vary``
        (least, most), so that the test span can differ from the calibration span. The same ``rng`` state
        gives the same incidents. Raises ``ValueError`` when ``end`` isn't after ``start``.
        """
        if end <= start:
            raise ValueError(f"the stretch to inject into must end after it starts; got {start} to {end}")
        stage = _Stage(events, start, end, vary, rng)
        present = stage.present(self.least_history)
        wide = [a for a in self.attacks.values() if present and _service_wide(a)]
        single = [a for a in self.attacks.values() if a not in wide]
        attackable = rng.permutation(np.array(present, dtype=object))
        attackable = attackable[: len(present) - math.ceil(self.clean * len(present))]
        margin = int(self.margin_hours * HOUR)
        calendar = Calendar(tuple(sorted(attackable)), start, end, margin)
        self._service(stage, calendar, wide)
        stage.split()
        days = (end - start) / DAY
        rows = round(self.per_user_day * len(present) * days) if count is None else count
        for draw in self._hand(single, rows, len(calendar.users), len(present), rng):
            place = calendar.place(draw, rng)
            if place is not None:
                calendar.note(stage.play(draw, *place))
        return stage.result()

    def _service(self, stage: _Stage, calendar: Calendar, attacks: list[Attack]) -> None:
        """Play the service-wide attacks, one in each of as many equal parts of the stretch as there are."""
        days = (calendar.end - calendar.start) / DAY
        number = max(1, int(days * self.service_per_day)) if self.service_per_day and attacks else 0
        draws = deck(attacks, self.strengths, (), len(stage.users), stage.rng)
        for i in range(number):
            draw = next(draws)
            part = (calendar.end - calendar.start) // number
            # The margins at both ends keep the incidents of two neighbouring parts apart.
            margin = min(calendar.margin, part // 8)
            first, last = calendar.start + i * part + margin, calendar.start + (i + 1) * part - margin
            length = min(draw.attack.room(draw.strength)[1], last - first)
            begin = int(stage.rng.integers(first, last - length + 1))
            calendar.note_for_all(stage.play_on_all(draw, begin, begin + length))

    def _hand(
        self, attacks: list[Attack], rows: int, attackable: int, present: int, rng: np.random.Generator
    ) -> list[Draw]:
        """Draws that make about ``rows`` label rows, those that need the most room first."""
        hand: list[Draw] = []
        if not attackable:
            return hand
        for draw in deck(attacks, self.strengths, self.seldom, present, rng):
            if rows <= 0:
                break
            hand.append(draw)
            rows -= min(draw.targets, attackable)
        # sorted is stable, so draws of equal need stay shuffled. Many users at once are the hardest to place.
        return sorted(hand, key=lambda d: (-min(d.targets, attackable), -d.attack.room(d.strength)[0]))


class _Stage:
    """The traffic while it is being attacked: one frame at first, then one per user.

    Working user by user keeps an incident's cost to the size of its users, not of the table.
    """

    def __init__(
        self, events: pa.Table, start: int, end: int, vary: tuple[float, float], rng: np.random.Generator
    ) -> None:
        self.table = events
        self.start, self.end = start, end
        self.vary = vary
        self.rng = rng
        self.labels: list[pd.DataFrame] = []
        self.touched: set[str] = set()
        self.whole = _frame(events)
        self.frames = _by_user(self.whole)
        self.users = tuple(sorted(self.frames))
        self.before = dict(self.frames)
        """Every user's events before any attack: what a stolen key's new owner is modelled on."""

    def present(self, least: int) -> list[str]:
        """Users with at least ``least`` events before the start, sorted."""
        return [u for u in self.users if int((self.frames[u]["timestamp"] < self.start).sum()) >= least]

    def split(self) -> None:
        """From here on attacks hit some users only: take the table apart."""
        if self.touched:
            self.frames = _by_user(self.whole)

    def play_on_all(self, draw: Draw, start: int, end: int) -> pd.DataFrame:
        """Carry out a service-wide ``draw`` in [start, end), and return its labels; only before ``split``."""
        outcome = self._outcome(draw, self.whole, self.users, start, end)
        self.whole = outcome.events
        return self._label(draw, outcome)

    def play(self, draw: Draw, targets: tuple[str, ...], start: int, end: int) -> pd.DataFrame:
        """Carry out ``draw`` on ``targets`` in [start, end), and return its labels; only after ``split``."""
        outcome = self._outcome(draw, self._joined(targets), targets, start, end)
        self.frames.update(_by_user(outcome.events))
        return self._label(draw, outcome)

    def _outcome(
        self, draw: Draw, events: pd.DataFrame, targets: tuple[str, ...], start: int, end: int
    ) -> Outcome:
        attack = scaled(draw.attack, float(self.rng.uniform(*self.vary)))
        self.touched.update(targets)
        return attack(Scene(events, targets, self._donor(targets), start, end), draw.strength, self.rng)

    def _label(self, draw: Draw, outcome: Outcome) -> pd.DataFrame:
        # The start in the name keeps ids apart when several stretches of one data set are injected into.
        seconds = int(outcome.incidents["start"].min()) // ev.MICROSECONDS
        name = f"{draw.attack.kind}-{seconds}-{len(self.labels)}"
        done = outcome.incidents.assign(incident_id=name, kind=draw.attack.kind, strength=draw.strength)
        self.labels.append(done[COLUMNS])
        return done

    def _joined(self, targets: tuple[str, ...]) -> pd.DataFrame:
        if len(targets) == 1:
            return self.frames[targets[0]]
        return _ordered(pd.concat([self.frames[user] for user in targets], ignore_index=True))

    def _donor(self, targets: tuple[str, ...]) -> pd.DataFrame:
        hit = set(targets)
        others = [user for user in self.users if user not in hit] or list(targets)
        return self.before[others[int(self.rng.integers(len(others)))]]

    def result(self) -> tuple[pa.Table, pd.DataFrame]:
        """The events, sorted, and the labels by start."""
        if not self.labels:
            return ev.sort(self.table), labels.empty().assign(strength=pd.Series(dtype="str"))
        users = self.table.column("user_id").cast(pa.string())
        kept = self.table.filter(pc.invert(pc.is_in(users, pa.array(sorted(self.touched), pa.string()))))
        changed = pd.concat([self.frames[user] for user in sorted(self.touched)], ignore_index=True)
        frame = pd.concat(self.labels, ignore_index=True).sort_values(["start", "incident_id", "user_id"])
        return ev.sort(ev.concat([kept, _table(changed)])), frame.reset_index(drop=True)


def _service_wide(attack: Attack) -> bool:
    """Whether ``attack`` hits everybody, asked about a crowd: one on several users may hit all of a few.

    The generator is thrown away, so that the question leaves no trace in the draws.
    """
    return attack.targets(CROWD, np.random.default_rng(0)) == CROWD


def _frame(table: pa.Table) -> pd.DataFrame:
    """``table`` as an attack sees it: times as int64 microseconds, text as plain strings, in time order."""
    columns = {}
    for name in table.column_names:
        column = table.column(name)
        if pa.types.is_dictionary(column.type):
            column = column.cast(pa.string())
        if name == "timestamp":
            column = column.cast(pa.int64())
        columns[name] = column
    return _ordered(pa.table(columns).to_pandas())


def _table(frame: pd.DataFrame) -> pa.Table:
    """The inverse of ``_frame``."""
    return ev.conform(pa.table({name: pa.array(frame[name], from_pandas=True) for name in frame.columns}))


def _ordered(frame: pd.DataFrame) -> pd.DataFrame:
    times = frame["timestamp"].to_numpy(dtype=np.int64)
    if np.all(times[1:] >= times[:-1]):
        return frame
    return frame.iloc[np.argsort(times, kind="stable")].reset_index(drop=True)


def _by_user(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """One frame per user, each in the order of ``frame``."""
    codes, users = pd.factorize(frame["user_id"])
    if len(users) == 1:
        return {str(users[0]): frame}
    grouped = frame.iloc[np.argsort(codes, kind="stable")].reset_index(drop=True)
    edges = np.concatenate([[0], np.cumsum(np.bincount(codes, minlength=len(users)))])
    parts = zip(users, edges[:-1], edges[1:], strict=True)
    return {str(user): grouped.iloc[a:b].reset_index(drop=True) for user, a, b in parts}
