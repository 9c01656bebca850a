"""Alerts of many users that begin together are one alert, and whose own affair it is keeps an alert of its own."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import handmade
from seqdetect import experiment
from seqdetect.alert import lifecycle, population
from seqdetect.alert.alert import Alert, named
from seqdetect.alert.aspect import Aspect, aspect
from seqdetect.alert.crowd import Crowd
from seqdetect.alert.evidence import ATTACK, CAMPAIGN, UNCLEAR, Triage
from seqdetect.alert.lifecycle import AlertBook
from seqdetect.alert.population import EVERYBODY, Active, Surge, least, refined, surge_kind
from seqdetect.attack.benign_campaign import BenignCampaign
from seqdetect.attack.inject import Injector
from seqdetect.bundle.load import load
from seqdetect.bundle.schema import Metadata
from seqdetect.detector.ewma import Ewma
from seqdetect.events import Tally, chunks, concat
from seqdetect.prepare import prepare
from seqdetect.score.attribution import Cause
from seqdetect.score.engine import Scored
from seqdetect.scorer import Model, Scorer, score_stream
from seqdetect.sequence.split import Split
from seqdetect.source.synthetic import Synthetic

from conftest import Tables  # isort: skip

SECOND = 1_000_000
NAMES = [f"u{number:02d}" for number in range(60)]
MORE = [Cause("requests", 39.0, 3.0, 2.5)]
SLOW = [Cause("latency", 9_000.0, 800.0, 2.5)]
ELSEWHERE = [Cause("addresses", 12.0, 1.0, 2.5)]

Row = tuple[int, int, int, float, list[Cause]]
"""User, tick in seconds, level, score, causes."""


def scored(rows: Iterable[Row]) -> Scored:
    rows = sorted(rows, key=lambda row: row[1])
    return Scored(
        np.array([row[0] for row in rows], np.int32),
        NAMES,
        np.array([row[1] * SECOND for row in rows], np.int64),
        np.array([row[3] for row in rows], np.float32),
        np.array([row[2] for row in rows], np.int8),
        np.full((len(rows), 2), 100),
        {i: row[4] for i, row in enumerate(rows) if row[2]},
        {},
    )


@pytest.fixture(scope="module")
def metadata(tmp_path_factory: pytest.TempPathFactory) -> Metadata:
    return load(handmade.write(tmp_path_factory.mktemp("handmade") / "b.onnx")).metadata


def surge(users: int, causes: list[Cause], level: int = 1, start: int = 1000) -> list[Row]:
    """One user more every half minute, each hot every minute from then on for half an hour."""
    return [
        (user, tick, level, 3.0 + user / 100, causes)
        for user in range(users)
        for tick in range(start + 30 * user, start + 1800, 60)
    ]


def told(changes: list[dict[str, Any]], user: str = EVERYBODY) -> list[dict[str, Any]]:
    return [change for change in changes if change["user_id"] == user]


def test_many_that_begin_together_are_one_alert(metadata: Metadata) -> None:
    book = AlertBook(metadata)
    changes = book.push(scored(surge(20, MORE)), 4000 * SECOND)
    opened, *updates, resolved = told(changes)
    assert (opened["change"], opened["users"], opened["kind"]) == ("open", 5, "benign_campaign")
    assert [(one["change"], one["users"]) for one in updates] == [("update", 10), ("update", 20)]
    assert (resolved["change"], resolved["users"], resolved["into"]) == ("resolve", 20, None)
    assert resolved["tokens"] == 200 * len(surge(20, MORE))
    assert resolved["score"] == pytest.approx(3.19)
    own = [change for change in changes if change["user_id"] != EVERYBODY]
    assert [one["change"] for one in own] == ["open"] * 4 + ["resolve"] * 4
    assert {one["into"] for one in own[4:]} == {opened["alert_id"]}
    assert not book.open
    assert book.surge is None


def test_invented_users_fill_no_memory(metadata: Metadata, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(population, "MOST_KEPT", 12)
    book = AlertBook(metadata)
    rows = [(user, 1000 + 10 * user, 1, 3.0, MORE) for user in range(60)]
    (opened, *updates) = told(book.push(scored(rows), 1600 * SECOND))
    assert book.surge is not None
    assert (len(book.surge.hot), len(book.surge.aspects)) == (12, 12)
    assert list(book.surge.hot) == NAMES[-12:]
    assert [one["users"] for one in (opened, *updates)] == [5, 10, 20, 40]
    assert book.surge.alert.users == 60


def test_few_of_many_are_told_one_by_one(metadata: Metadata) -> None:
    assert not told(AlertBook(metadata).push(scored(surge(4, MORE)), None))
    crowd = [(user, 990, 0, 0.1, MORE) for user in range(60)]
    assert not told(AlertBook(metadata).push(scored(crowd + surge(5, MORE)), None))
    assert told(AlertBook(metadata).push(scored(crowd + surge(6, MORE)), None))
    hours_ago = [(user, 990 - 3600 * 2, 0, 0.1, MORE) for user in range(60)]
    assert told(AlertBook(metadata).push(scored(hours_ago + surge(5, MORE, start=4800)), None))


def test_what_began_long_before_is_no_part_of_it(metadata: Metadata) -> None:
    book = AlertBook(metadata)
    early = [(50, tick, 1, 9.0, MORE) for tick in range(10, 3000, 60)]
    changes = book.push(scored(early + surge(10, MORE)), None)
    assert told(changes)[0]["users"] == 5
    assert [one["change"] for one in told(changes, "u50")] == ["open"]


def test_who_changed_in_another_way_keeps_an_alert_of_its_own(metadata: Metadata) -> None:
    rows = surge(10, MORE) + [(40, 1100, 2, 8.0, ELSEWHERE), (41, 1500, 2, 8.0, ELSEWHERE)]
    rows += [(42, 1500, 1, 3.0, ELSEWHERE), (43, 1500, 2, 8.0, MORE)]
    changes = AlertBook(metadata).push(scored(rows), None)
    assert told(changes)[0]["kind"] == "benign_campaign"
    for user in ("u40", "u41"):
        assert told(changes, user)[0]["change"] == "open"
        assert all(one["into"] is None for one in told(changes, user))
    assert not told(changes, "u42")
    assert not told(changes, "u43")


def test_a_surge_of_critical_steps_of_one_kind_is_still_one(metadata: Metadata) -> None:
    changes = AlertBook(metadata).push(scored(surge(20, SLOW, level=2)), None)
    assert (told(changes)[0]["kind"], told(changes)[0]["severity"]) == ("degradation", "critical")
    assert sum(change["change"] == "open" for change in changes) == 5


def test_one_tick_is_enough_and_opens_nobodys_own(metadata: Metadata) -> None:
    (opened,) = AlertBook(metadata).push(scored([(user, 1000, 1, 3.0, MORE) for user in range(30)]), None)
    assert (opened["user_id"], opened["users"], opened["tokens"]) == (EVERYBODY, 30, 6000)


def test_it_ends_when_it_is_broad_no_more(metadata: Metadata) -> None:
    one_goes_on = [(0, tick, 1, 3.0, MORE) for tick in range(2800, 12000, 60)]
    changes = AlertBook(metadata).push(scored(surge(10, MORE) + one_goes_on), None)
    assert [one["change"] for one in told(changes)][-1] == "resolve"
    assert [one["change"] for one in told(changes, "u00")][-1] == "open"


def test_batches_and_replay_do_not_show(metadata: Metadata) -> None:
    rows = sorted(surge(20, MORE) + [(40, 1700, 2, 8.0, ELSEWHERE)], key=lambda row: row[1])
    whole = AlertBook(metadata).push(scored(rows), 9000 * SECOND)
    book, parts = AlertBook(metadata), []
    for tick in sorted({row[1] for row in rows}):
        parts += book.push(scored([row for row in rows if row[1] == tick]), tick * SECOND)
    parts += book.push(scored([]), 9000 * SECOND)
    assert parts == whole


@pytest.mark.parametrize(
    ("aspects", "kind"),
    [
        ([Aspect.RATE] * 4 + [Aspect.OTHER], "benign_campaign"),
        ([Aspect.RATE] * 3 + [Aspect.ADDRESSES] * 2, "botnet"),
        ([Aspect.LENGTHS] * 3 + [Aspect.ANSWERS] * 2, "inflation"),
        ([Aspect.RATE] * 3 + [Aspect.ANSWERS] * 2 + [Aspect.OTHER], "degradation"),
        ([Aspect.OTHER] * 5, "unknown"),
    ],
)
def test_the_kind_is_what_leads(aspects: list[Aspect], kind: str) -> None:
    assert surge_kind(aspects) == kind


def one(user: str, causes: list[Cause], start: int = 1000, reopened_at: int = 0) -> Alert:
    begun = start * SECOND
    return Alert(
        named(user, begun),
        user,
        begun,
        max(start, reopened_at) * SECOND + 10 * SECOND,
        "warning",
        "unknown",
        3.0,
        tuple(causes),
        100,
        100,
        reopened_at=reopened_at * SECOND,
    )


@pytest.mark.parametrize(
    ("kind", "verdict", "found"),
    [
        ("benign_campaign", ATTACK, "botnet"),
        ("unknown", ATTACK, "botnet"),
        ("inflation", ATTACK, "botnet"),
        ("degradation", ATTACK, "degradation"),
        ("benign_campaign", CAMPAIGN, "benign_campaign"),
        ("botnet", CAMPAIGN, "botnet"),
        ("benign_campaign", UNCLEAR, "benign_campaign"),
        ("benign_campaign", None, "benign_campaign"),
    ],
)
def test_an_attack_makes_a_botnet_of_what_the_causes_leave_open(kind: str, verdict: str, found: str) -> None:
    assert refined(kind, verdict) == found


def test_a_lead_that_changes_for_a_moment_is_no_news() -> None:
    surging = Surge.of([one(f"u{number}", MORE) for number in range(10)])
    kinds = []
    for minute, causes in enumerate((MORE, SLOW, MORE, SLOW, SLOW, SLOW)):
        surging.aspects = {f"u{number}": (3.0, aspect(causes)) for number in range(10)}
        surging.judge(Crowd(10 * SECOND), (1100 + 60 * minute) * SECOND, 20, ())
        kinds.append(surging.alert.kind)
    assert kinds == ["benign_campaign"] * 4 + ["degradation"] * 2


def test_it_is_looked_at_once_a_minute_for_an_hour_and_a_verdict_stands(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    verdicts = [UNCLEAR, CAMPAIGN, UNCLEAR, ATTACK, CAMPAIGN]
    looked: list[int] = []

    def told(crowd: Crowd, moment: Any, calendar: Any) -> Triage:
        looked.append(moment.now // SECOND)
        return Triage(verdicts[len(looked) - 1], ())

    monkeypatch.setattr(population, "triage", told)
    surging = Surge.of([one(f"u{number}", MORE) for number in range(10)])
    seen = []
    for second in (1010, 1040, 1070, 1130, 1190, 4500, 4700):
        surging.judge(Crowd(10 * SECOND), second * SECOND, 20, ())
        seen.append((surging.verdict, surging.alert.kind))
    assert looked == [1010, 1070, 1130, 1190, 4500]
    campaign = "benign_campaign"
    assert seen == [*[(UNCLEAR, campaign)] * 2, *[(CAMPAIGN, campaign)] * 2, *[(ATTACK, "botnet")] * 3]


def test_a_verdict_is_news() -> None:
    alerts = [one(f"u{number}", MORE) for number in range(10)]
    surging = Surge.of(alerts)
    for alert in alerts:
        surging.add(alert)
    surging.settle(1010 * SECOND, 20)
    assert [surging.news(), surging.news()] == ["open", None]
    surging.judge(Crowd(10 * SECOND), 1010 * SECOND, 20, ())
    assert [surging.news(), surging.news()] == ["update", None]


def test_it_begins_with_what_opened_lately_not_with_what_was_long_ago() -> None:
    again = one("u0", MORE, start=100, reopened_at=1200)
    surging = Surge.of([again, *(one(f"u{number}", MORE) for number in range(1, 6))])
    assert surging.alert.start == 1000 * SECOND


def test_the_population_alert_before_comes_back_whatever_the_evidence_called_it() -> None:
    surging = Surge.of([one(f"u{number}", MORE) for number in range(5)])
    assert [surging.may_be(kind) for kind in ("benign_campaign", "botnet", "degradation")] == [
        True,
        True,
        False,
    ]


def test_active_users_are_those_of_the_last_hour() -> None:
    active = Active()
    steps = scored([(0, 5000, 0, 0.1, MORE), (1, 8000, 0, 0.1, MORE), (0, 5010, 0, 0.1, MORE)])
    active.note(steps, slice(0, 3))
    assert [active.count(now * SECOND) for now in (8000, 8620, 20_000)] == [2, 1, 0]
    assert (least(10), least(200)) == (5, 20)


def test_the_step_before_is_told_within_and_across_batches() -> None:
    active = Active()
    steps = scored(
        [(0, 5000, 0, 0.1, MORE), (1, 5000, 0, 0.1, MORE), (0, 5010, 0, 0.1, MORE), (0, 5030, 0, 0.1, MORE)]
    )
    assert active.note(steps, slice(0, 3)).tolist() == [0, 0, 5000 * SECOND]
    assert active.note(steps, slice(3, 4)).tolist() == [5010 * SECOND]


@pytest.mark.slow
def test_a_launch_raises_one_population_alert(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events = concat(Synthetic(users=20, days=2, seed=3).read(Tally()))
    data = prepare(Tables(events), Split())
    trained = experiment.fit("ewma", Ewma(), data, 0, experiment.BUDGETS)
    experiment.write_bundle(trained, data, tmp_path / "b.onnx", 10.0, {"run_id": "test"})
    launch = BenignCampaign(factors=(30.0,) * 4, share=(1.0, 1.0), hours=(1.0, 1.0))
    injector = Injector({"launch": launch}, per_user_day=0.0, strengths=("blatant",))
    busy, labels = injector.inject(events, *data.spans.test, np.random.default_rng(0))
    start, end = int(labels["start"].min()), int(labels["end"].max())

    def opened() -> list[dict[str, Any]]:
        bundle, changes = load(tmp_path / "b.onnx"), Changes()
        score_stream(Scorer([Model("ewma", bundle)], Tally()), chunks(busy), [changes])
        return [one for one in changes.seen if one["change"] == "open" and within(one, start, end)]

    together = opened()
    monkeypatch.setattr(lifecycle, "least", lambda active: np.inf)
    alone = opened()
    assert len(told(together)) == 1
    assert told(together)[0]["kind"] == "benign_campaign"
    assert told(together)[0]["users"] >= least(0)
    assert not told(alone)


def within(change: dict[str, Any], start: int, end: int) -> bool:
    return start <= int(np.datetime64(change["start"].rstrip("Z"), "us").astype(np.int64)) < end


class Changes:
    """A sink that keeps what it is sent."""

    def __init__(self) -> None:
        self.seen: list[dict[str, Any]] = []

    def send(self, changes: Any) -> None:
        self.seen += changes

    def close(self) -> None:
        pass
