"""What the page shows, as it is kept: the last hour, the steps of watched users, and alerts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import handmade
from changes import change
from seqdetect.alert.prices import Price, Prices
from seqdetect.bundle.load import load
from seqdetect.events import MICROSECONDS, Tally
from seqdetect.scorer import Model, Scorer
from seqdetect.serve.page import alerts as alerts_module
from seqdetect.serve.page.alerts import Alerts
from seqdetect.serve.page.band import LEAST_STEPS, band
from seqdetect.serve.page.band import calm as calm_steps
from seqdetect.serve.page.board import RERANK_S, Board
from seqdetect.serve.page.rings import STEP, Rings
from seqdetect.serve.page.watch import SETTLED_S, SPAN_US, WORST, Watch, Worst
from seqdetect.source.live.reader import Reader
from seqdetect.source.parse.header import Layout

from .running import START, calm, event, lines

LOUD = 50_000
"""Completion tokens that are critical to the bundle written by hand."""


class Fed:
    """A board beside a scorer, as the service has it; ``now`` is the board's clock."""

    def __init__(self, models: list[Model], users: int = 10, steps: int = 100, **settings: Any) -> None:
        self.now = 0.0
        self.board = Board(users, steps, clock=lambda: self.now)
        self.scorer = Scorer(
            models, Tally(), write=lambda model, scored: self.board.scored("", model, scored), **settings
        )
        self.board.begin("", self.scorer)

    def push(self, *events: dict[str, Any]) -> list[dict[str, Any]]:
        changes = self.scorer.push(Reader(Layout()).read(lines(events), "test", Tally()))
        self.board.changed("", changes)
        self.now += RERANK_S
        return changes


@pytest.fixture
def models(tmp_path):
    return [Model("tokens", load(handmade.write(tmp_path / "b.onnx")), prices=Prices(Price(1.0, 10.0)))]


def us(second: float) -> int:
    return round((START.timestamp() + second) * MICROSECONDS)


def test_the_top_of_the_last_hour_is_exact(models):
    fed = Fed(models)
    fed.push(*calm(0), event(1, "old", 900_000))
    fed.push(*calm(1300), event(1301, "many", 500), event(1302, "many", 700), event(1301, "one", 1000))
    fed.push(*calm(1340))
    by_tokens = fed.board.top("tokens", "tokens", 3)
    assert [(one.name, one.completion_tokens, one.prompt_tokens) for one in by_tokens] == [
        ("old", 900_000, 10), ("many", 1200, 20), ("one", 1000, 10),
    ]  # fmt: skip
    assert [one.name for one in fed.board.top("tokens", "score", 1)] == ["old"]
    assert fed.board.top("tokens", "cost", 2)[1].usd == pytest.approx((20 + 10 * 1200) / 1e6)
    fed.push(*calm(3610), *calm(3640))
    assert fed.board.top("tokens", "tokens", 1)[0].name == "many"  # an hour after, by spans of ten minutes


def test_a_cost_that_is_not_known_is_not_stated(models):
    fed = Fed([Model("tokens", models[0].bundle, prices=Prices(None, {"small": Price(1.0, 10.0)}))])
    fed.push(*calm(0), event(1, "a", 500, model="small"), event(2, "b", 500, model="small"),
             event(3, "b", 500, model="new"))  # fmt: skip
    fed.push(*calm(40))
    by_name = {one.name: one.usd for one in fed.board.top("tokens", "tokens", 30)}
    assert by_name["a"] == pytest.approx(5010e-6)
    assert by_name["b"] is None
    assert [one.name for one in fed.board.top("tokens", "cost", 30)] == ["a"]


def test_the_first_odd_step_of_a_user_is_kept_with_its_causes(models):
    fed = Fed(models, users=3)
    fed.now = -RERANK_S  # nobody is watched for being at the top
    fed.push(*calm(0))
    fed.push(*calm(20), event(21, "odd", LOUD))
    (opened,) = fed.push(*calm(60))
    kept = fed.board.timeline("tokens", "odd")
    assert kept.steps is not None
    assert kept.steps["tick"].tolist() == [us(30)]
    assert np.expm1(kept.steps["volume"][0]) == pytest.approx([1, 10, LOUD], rel=1e-5)
    assert np.expm1(kept.steps["expected"][0])[0] == pytest.approx(handmade.USUAL_REQUESTS, rel=1e-5)
    (worst,) = kept.worst
    assert (worst.tick, worst.kind, worst.causes[0].name) == (us(30), "wallet", "completion_tokens")
    assert [one["alert_id"] for one in kept.alerts] == [opened["alert_id"]]


def test_who_is_asked_for_is_watched_from_then_on(models):
    fed = Fed(models, users=120)
    names = [f"busy-{user:03d}" for user in range(60)]
    fed.push(*calm(0), *(event(1, name, 300 + place) for place, name in enumerate(names)))
    fed.push(*calm(20))
    low = "calm-0"  # at the top of nothing
    fed.now += 1000
    assert fed.board.timeline("tokens", low).steps is None
    fed.push(*calm(40))
    fed.push(*calm(60))
    steps = fed.board.timeline("tokens", low).steps
    assert steps is not None
    assert steps["tick"].tolist()[-1] == us(50)
    assert not fed.board.timeline("tokens", "never seen").known


def test_steps_of_a_row_that_changed_hands_are_not_the_former_users(models):
    fed = Fed(models, max_users=20)
    fed.push(event(0, "first", LOUD), *calm(0)[:19])
    for second in range(20, 200, 20):
        fed.now = 0.0  # nobody is looked for meanwhile
        fed.push(*(event(second, f"new-{second}-{user}") for user in range(20)))
    assert "first" not in fed.scorer.lanes[0].stream.keys.names
    kept = fed.board.timeline("tokens", "first").steps
    assert kept is not None
    assert kept["tick"].tolist() == [us(10)]
    assert fed.board.top("tokens", "tokens", 1)[0].completion_tokens == 100


def test_open_alerts_are_known_after_a_restart_and_their_users_watched_again(models, tmp_path):
    fed = Fed(models)
    fed.push(*calm(0), event(1, "odd", LOUD))
    (opened,) = fed.push(*calm(40))
    fed.scorer.save(tmp_path / "c.ckpt")
    again = Fed(models)
    again.scorer.load(tmp_path / "c.ckpt")
    again.board.begin("", again.scorer)
    ((alert,), left_out) = again.board.open()
    assert (alert["alert_id"], alert["change"], left_out) == (opened["alert_id"], "update", 0)
    assert again.board.timeline("tokens", "odd").steps is None
    again.push(*calm(60), event(61, "odd", 100))
    again.push(*calm(100))
    steps = again.board.timeline("tokens", "odd").steps
    assert steps is not None
    assert us(70) in steps["tick"].tolist()


def test_where_ranking_takes_long_it_is_done_seldom(models, monkeypatch):
    fed, done = Fed(models), []

    def slow(name: str, *more: Any) -> list[Any]:
        done.append(fed.now)
        fed.now += 1.0
        return []

    fed.push(*calm(0))
    monkeypatch.setattr(fed.board, "_ranked", slow)
    for _ in range(290):
        fed.board.top("tokens", "score", 5)
        fed.now += 1.0
    assert len(done) == 3


def test_a_part_that_goes_takes_its_alerts_and_users_along(models):
    fed = Fed(models)
    fed.push(*calm(0), event(1, "odd", LOUD))
    fed.push(*calm(40))
    fed.board.forget("")
    assert fed.board.open() == ([], 0)
    assert fed.board.top("tokens", "tokens", 5) == []


def test_new_models_go_on_with_what_is_known(models):
    fed = Fed(models)
    fed.push(*calm(0), event(1, "odd", LOUD))
    fed.push(*calm(40))
    fed.scorer.swap([*models, Model("next", models[0].bundle, shadow=True)])
    fed.board.begin("", fed.scorer)
    assert list(fed.board.models) == ["tokens", "next"]
    assert fed.board.timeline("tokens", "odd").steps is not None
    fed.push(*calm(60), event(61, "odd", LOUD))
    fed.push(*calm(100))
    assert {one["model"] for one in fed.board.open()[0]} == {"tokens", "next"}
    fed.scorer.swap(models)
    fed.board.begin("", fed.scorer)
    assert {one["model"] for one in fed.board.open()[0]} == {"tokens"}


@given(st.lists(st.lists(st.integers(0, 2), max_size=12), max_size=12))
def test_rings_keep_the_last_steps_of_each_however_they_come(batches):
    rings, expected, number = Rings(3, 4), {0: [], 1: [], 2: []}, 0  # type: ignore[var-annotated]
    for batch in batches:
        steps = np.zeros(len(batch), STEP)
        for place, ring in enumerate(batch):
            number += 1
            steps["tick"][place] = number
            expected[ring].append(number)
        rings.put(np.array(batch, np.int16), steps)
    for ring, kept in expected.items():
        assert rings.steps(ring)["tick"].tolist() == kept[-4:]


def test_the_worse_stays_when_there_is_no_room():
    ranks = {"critical": 2, "warning": 1}
    watch = Watch(2, lambda who: ranks.get(who[1], 0))
    assert watch.want(("m", "critical"), 2, 0.0)
    assert watch.want(("m", "idle"), 0, 0.0)
    assert watch.want(("m", "other"), 0, 1.0) is None  # nobody goes so soon for an equal
    assert watch.want(("m", "warning"), 1, 1.0)
    assert watch.get(("m", "idle")) is None
    assert watch.want(("m", "idle"), 0, 100.0) is None
    assert watch.want(("m", "late"), 1, 1.0 + SETTLED_S)
    assert {one.who[1] for one in watch} == {"critical", "late"}


def test_the_causes_of_the_worst_step_of_each_span_are_kept():
    watched = Watch(1, lambda who: 0).want(("m", "u"), 0, 0.0)
    assert watched is not None
    for score in [*range(30), 3]:
        for later, less in ((0, 0.0), (1, 0.5)):
            watched.note(Worst(score - less, score * SPAN_US + later, "flood", ()))
    assert sorted(one.score for one in watched.worst.values()) == [
        float(30 - left) for left in range(WORST, 0, -1)
    ]


def test_nine_in_ten_calm_steps_lie_within_the_band():
    rng = np.random.default_rng(0)
    steps = np.zeros(400, STEP)
    steps["tick"] = us(0) + 10 * MICROSECONDS * np.arange(400)
    steps["expected"] = np.log1p(100)
    steps["volume"] = np.log1p(100) + rng.normal(0.2, 0.5, (400, 3))
    steps["level"][:5], steps["volume"][:20] = 2, 20
    alert = change("resolve", start="2026-03-01T23:59:50Z", end="2026-03-02T00:03:10Z")
    quiet = calm_steps(steps, [alert])
    assert quiet.tolist() == [False] * 20 + [True] * 380
    found = band(steps, quiet)
    assert found is not None
    low, high = found
    within = (np.expm1(steps["volume"]) >= low) & (np.expm1(steps["volume"]) <= high)
    assert within[20:].mean(axis=0) == pytest.approx(0.9, abs=0.01)
    assert not within[:20].any()
    assert not calm_steps(steps, [alert | {"end": None}]).any()
    assert band(steps[: 20 + LEAST_STEPS - 1], quiet[: 20 + LEAST_STEPS - 1]) is None


def test_of_too_many_open_alerts_the_worst_are_kept(monkeypatch):
    monkeypatch.setattr(alerts_module, "MOST_OPEN", 16)
    kept = Alerts()
    kept.take("", [change(alert_id=f"c{i}", user_id=f"c{i}") for i in range(4)])
    kept.take("", [change(alert_id=str(i), severity="warning", score=i / 10) for i in range(40)])
    shown = kept.open()
    assert [one["severity"] for one in shown[:4]] == ["critical"] * 4
    assert len(shown) <= 18
    assert kept.left_out + len(shown) == 44
    assert kept.rank("users", "c3") == 2


def test_an_alert_is_open_until_it_is_resolved_and_again_when_it_comes_back():
    kept = Alerts()
    kept.take("a", [change(), change("update", score=6.0), change("resolve")])
    assert kept.open() == []
    assert [one["change"] for one in kept.resolved()] == ["resolve"]
    kept.take("a", [change(reopened=1)])
    assert [one["reopened"] for one in kept.open()] == [1]
    assert kept.resolved() == []
    kept.begin("b", [])
    assert len(kept.open()) == 1
    kept.begin("a", [])
    assert kept.open() == []
    assert kept.find("users", "5f2c3f0a9d1b7e44") is None
