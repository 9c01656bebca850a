"""Bundles at work over one stream: memory that can be put down and taken up, bounded users, several keys, new bundles."""

from __future__ import annotations

import logging
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import handmade
from conftest import START_US, traffic
from seqdetect.bundle.load import Bundle, load
from seqdetect.events import MICROSECONDS, Tally, concat, conform, sort
from seqdetect.score.checkpoint import previous
from seqdetect.score.engine import Scored
from seqdetect.score.writer import table
from seqdetect.scorer import Model, Scorer
from seqdetect.service import SERVICE, as_one

LIVE = traffic(users=6, hours=5, seed=9, rate_s=0.05)
LOW = {"warning": 1.0, "critical": 2.0}


class Kept:
    """A scorer whose scores are kept."""

    def __init__(self, models: list[Model], **settings: Any) -> None:
        self.parts: list[pa.Table] = []
        self.scorer = Scorer(models, Tally(), write=self._keep, **settings)

    def _keep(self, name: str, scored: Scored) -> None:
        rows = table(scored)
        self.parts.append(rows.append_column("model", pa.array([name] * rows.num_rows, pa.string())))

    def scores(self, name: str | None = None) -> pa.Table:
        order = [("model", "ascending"), ("timestamp", "ascending"), ("user_id", "ascending")]
        rows = pa.concat_tables(self.parts).sort_by(order)
        return rows if name is None else rows.filter(pc.equal(rows["model"], name)).drop_columns("model")


@pytest.fixture(scope="module")
def bundle(bundle_path: Path) -> Bundle:
    return load(bundle_path)


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle with another state layout."""
    return load(handmade.write(tmp_path_factory.mktemp("other") / "b.onnx"))


def last_states(changes: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {change["alert_id"]: change for change in changes}


def pushed(scorer: Scorer, events: pa.Table, cuts: list[int]) -> list[dict[str, Any]]:
    edges = [0, *sorted(cuts), events.num_rows]
    changes = [one for a, b in pairwise(edges) for one in scorer.push(events.slice(a, b - a))]
    return changes + scorer.flush()


@pytest.mark.parametrize("cut", [1, 777, LIVE.num_rows // 2, LIVE.num_rows - 1])
def test_a_memory_taken_up_in_the_middle_of_a_tick_changes_nothing(bundle, tmp_path, cut):
    whole = Kept([Model("m", bundle, thresholds=LOW)])
    expected = pushed(whole.scorer, LIVE, [])
    first, second = (Kept([Model("m", bundle, thresholds=LOW)]) for _ in range(2))
    changes = first.scorer.push(LIVE.slice(0, cut))
    first.scorer.save(tmp_path / "c.ckpt", {"offset": cut})
    assert second.scorer.load(tmp_path / "c.ckpt") == {"offset": cut}
    changes += pushed(second.scorer, LIVE.slice(cut), [])
    second.parts += first.parts
    assert second.scores().equals(whole.scores())
    assert changes == expected
    assert len(expected) > 10


def test_a_lone_memory_fits_whatever_its_key_is_called(bundle, tmp_path):
    trained, served = Scorer([Model("m", bundle)], Tally()), Scorer([Model("all", bundle, SERVICE)], Tally())
    trained.push(as_one(LIVE))
    trained.save(tmp_path / "c.ckpt")
    served.load(tmp_path / "c.ckpt")
    assert served.stats()["all"]["users"] == 1


def test_open_alerts_and_a_surge_survive_a_restart(other, tmp_path):
    rows = [(f"u{user}", second) for second in range(0, 3000, 10) for user in range(12)]
    burst = [(f"u{user}", 1500 + user) for user in range(12) for _ in range(200)]
    events = made(rows + burst)
    cut = int(
        np.searchsorted(events["timestamp"].cast(pa.int64()).to_numpy(), START_US + 1600 * MICROSECONDS)
    )
    whole, first, second = (Scorer([Model("m", other)], Tally()) for _ in range(3))
    expected = pushed(whole, events, [])
    changes = first.push(events.slice(0, cut))
    assert first.stats()["m"]["open_alerts"] > 0
    first.save(tmp_path / "c.ckpt")
    second.load(tmp_path / "c.ckpt")
    changes += pushed(second, events.slice(cut), [])
    assert changes == expected
    assert any(change["user_id"] == "*" and change["change"] == "resolve" for change in expected)


@pytest.mark.parametrize(
    "damage", [lambda b: b[: len(b) // 2], lambda b: b"hello" + b, lambda b: b[:-1] + b"x", lambda b: b""]
)
def test_a_damaged_checkpoint_is_refused_and_the_one_before_it_used(bundle, tmp_path, damage, caplog):
    path = tmp_path / "state.ckpt"
    scorer = Scorer([Model("m", bundle)], Tally())
    scorer.save(path, "first")
    scorer.push(LIVE)
    scorer.save(path, "second")
    path.write_bytes(damage(path.read_bytes()))
    with caplog.at_level(logging.WARNING):
        assert Scorer([Model("m", bundle)], Tally()).load(path) == "first"
    assert "the checkpoint before it is used" in caplog.text
    previous(path).unlink()
    with pytest.raises(ValueError, match=r"not a seqdetect checkpoint|damaged"):
        Scorer([Model("m", bundle)], Tally()).load(path)
    path.unlink()
    with pytest.raises(FileNotFoundError, match="no checkpoint"):
        Scorer([Model("m", bundle)], Tally()).load(path)


def test_a_checkpoint_of_another_state_layout_is_refused(bundle, other, tmp_path):
    Scorer([Model("m", bundle)], Tally()).save(tmp_path / "c.ckpt")
    with pytest.raises(ValueError, match="another state layout"):
        Scorer([Model("m", other)], Tally()).load(tmp_path / "c.ckpt")


def crowd(seed: int, users: int = 30) -> pa.Table:
    """Users who come, go and come back, within two hours."""
    rng = np.random.default_rng(seed)
    rows = []
    for user in range(users):
        for begin in rng.uniform(0, 7000, 3):
            times = begin + np.cumsum(rng.exponential(8.0, 12))
            rows += [(f"user-{user}", float(time)) for time in times]
    return made(rows)


def made(rows: list[tuple[str, float]]) -> pa.Table:
    """Events of (user, second), in time order."""
    rng = np.random.default_rng(len(rows))
    times = START_US + (np.array([second for _, second in rows]) * MICROSECONDS).astype(np.int64)
    return sort(
        conform(
            pa.table(
                {
                    "timestamp": pa.array(times).cast(pa.timestamp("us", "UTC")),
                    "user_id": [user for user, _ in rows],
                    "prompt_tokens": rng.integers(1, 500, len(rows)),
                    "completion_tokens": rng.integers(1, 500, len(rows)),
                }
            )
        )
    )


CROWD = crowd(1)


@settings(max_examples=25, deadline=None)
@given(cuts=st.lists(st.integers(0, CROWD.num_rows), max_size=12), most=st.integers(1, 29))
def test_who_is_forgotten_does_not_depend_on_the_chunks(bundle, cuts, most):
    whole, cut = (Kept([Model("m", bundle, thresholds=LOW)], max_users=most) for _ in range(2))
    assert pushed(whole.scorer, CROWD, []) == pushed(cut.scorer, CROWD, cuts)
    assert whole.scores().equals(cut.scores())
    assert whole.scorer.stats()["m"]["evicted"] == cut.scorer.stats()["m"]["evicted"] > 0


def test_a_forgotten_user_begins_anew(bundle):
    bounded = Kept([Model("m", bundle)], max_users=1)
    events = made([("a", 0), ("a", 20), ("b", 40), ("a", 60), ("a", 80)])
    pushed(bounded.scorer, events, [])
    apart = Kept([Model("m", bundle)])
    pushed(apart.scorer, made([("a", 0), ("a", 20), ("b", 40), ("c", 60), ("c", 80)]), [])
    assert bounded.scorer.stats()["m"]["evicted"] == 2
    assert bounded.scores()["score"].equals(apart.scores()["score"])


def test_a_flood_of_names_is_bounded(bundle):
    scorer = Scorer([Model("m", bundle)], Tally(), max_users=50)
    for minute in range(40):
        scorer.push(made([(f"user-{minute}-{i}", 60.0 * minute + i / 10) for i in range(300)]))
    assert len(scorer.lanes[0].stream.keys) < 1000
    assert scorer.stats()["m"]["evicted"] > 11_000


def test_late_events_with_names_of_their_own_are_bounded_while_time_stands_still(bundle):
    scorer = Scorer([Model("m", bundle)], Tally(), max_users=50)
    scorer.push(made([(f"user-{i % 7}", 9000.0 + i) for i in range(60)]))
    for round_ in range(40):
        scorer.push(made([(f"late-{round_}-{i}", i / 10) for i in range(300)]))
    assert scorer.tally.late == 40 * 300
    assert len(scorer.lanes[0].stream.keys) < 1000


def test_each_key_gives_what_it_would_give_alone(bundle):
    models = [
        Model("users", bundle, thresholds=LOW),
        Model("addresses", bundle, "client_ip", LOW),
        Model("all", bundle, SERVICE, LOW),
    ]
    together = Kept(models)
    changes = pushed(together.scorer, LIVE, [500, 900])
    by_address = LIVE.set_column(1, LIVE.schema.field("user_id"), LIVE["client_ip"])
    for model, events in zip(models, (LIVE, by_address, as_one(LIVE)), strict=True):
        alone = Kept([Model("m", bundle, thresholds=LOW)])
        own = pushed(alone.scorer, events, [])
        assert together.scores(model.name).equals(alone.scores("m"))
        mine = [change for change in changes if change["model"] == model.name]
        assert [one["score"] for one in mine] == [one["score"] for one in own]
    assert len({(one["alert_id"], one["key"]) for one in changes}) == len(
        {one["alert_id"] for one in changes}
    )


def test_an_event_without_the_key_is_left_out_of_that_key_alone(bundle):
    blank = LIVE.set_column(
        LIVE.column_names.index("client_ip"),
        "client_ip",
        pc.if_else(
            pc.equal(LIVE["user_id"].cast(pa.string()), "user-1"), None, LIVE["client_ip"].cast(pa.string())
        ),
    )
    both = Kept([Model("users", bundle), Model("addresses", bundle, "client_ip")])
    pushed(both.scorer, conform(blank), [])
    assert set(both.scores("users")["user_id"].to_pylist()) == {f"user-{i}" for i in range(6)}
    assert not any(name.startswith("10.0.1.") for name in both.scores("addresses")["user_id"].to_pylist())


def test_a_shadow_scores_the_same_and_its_alerts_are_marked(bundle):
    scorer = Kept(
        [Model("champion", bundle, thresholds=LOW), Model("next", bundle, thresholds=LOW, shadow=True)]
    )
    changes = pushed(scorer.scorer, LIVE, [])
    assert scorer.scores("champion").equals(scorer.scores("next"))
    shadow = [one for one in changes if one["shadow"]]
    assert {one["model"] for one in shadow} == {"next"}
    assert len(shadow) == len(changes) / 2 > 0
    assert not {one["alert_id"] for one in shadow} & {one["alert_id"] for one in changes if not one["shadow"]}


def test_a_new_bundle_keeps_the_state_and_the_open_alerts(bundle, bundle_path):
    cut = LIVE.num_rows // 2
    whole, swapped = (Kept([Model("m", bundle, thresholds=LOW)]) for _ in range(2))
    expected = pushed(whole.scorer, LIVE, [])
    changes = swapped.scorer.push(LIVE.slice(0, cut))
    swapped.scorer.swap([Model("m", load(bundle_path), thresholds=LOW), Model("s", bundle, shadow=True)])
    changes += pushed(swapped.scorer, LIVE.slice(cut), [])
    assert swapped.scores("m").equals(whole.scores("m"))
    assert [one for one in changes if one["model"] == "m"] == expected
    # the shadow began with what the champion knew
    assert swapped.scores("s")["score"].equals(
        whole.scores("m")["score"].slice(whole.scores("m").num_rows - swapped.scores("s").num_rows)
    )


def test_a_bundle_of_another_state_layout_is_refused_and_the_old_one_goes_on(bundle, other):
    whole, kept = (Kept([Model("m", bundle)]) for _ in range(2))
    pushed(whole.scorer, LIVE, [])
    kept.scorer.push(LIVE.slice(0, 1000))
    with pytest.raises(ValueError, match="made in another way"):
        kept.scorer.swap([Model("m", other)])
    kept.scorer.swap([Model("m", bundle), Model("s", other, shadow=True)])
    pushed(kept.scorer, LIVE.slice(1000), [])
    assert kept.scores("m").equals(whole.scores("m"))
    assert kept.scores("s").num_rows > 0


@pytest.mark.parametrize(
    ("models", "message"),
    [
        ([], "at least one model"),
        ([("a", "user_id"), ("a", "model")], "its own name"),
        ([("a", "latency_ms")], "is none of user_id, model, client_ip"),
    ],
)
def test_models_that_cannot_work_are_refused(bundle, models, message):
    with pytest.raises(ValueError, match=message):
        Scorer([Model(name, bundle, key) for name, key in models], Tally())


def test_parts_of_the_same_traffic_have_their_own_alerts(bundle):
    ids = []
    for scope in ("", "t-0", "t-1"):
        scorer = Scorer([Model("m", bundle, thresholds=LOW)], Tally(), scope=scope)
        ids.append(set(last_states(pushed(scorer, concat([LIVE]), []))))
    assert not ids[0] & ids[1]
    assert not ids[1] & ids[2]


def test_nobody_passes_for_everybody_and_no_name_is_kept_whole_however_long(other):
    start = pa.scalar(START_US, pa.int64()).cast(pa.timestamp("us", "UTC"))

    def events(names: list[str], at_s: int, tokens: int) -> pa.Table:
        times = pc.add(pa.array([start] * len(names)), pa.scalar(at_s * MICROSECONDS, pa.duration("us")))
        count = pa.array([tokens] * len(names), pa.int64())
        columns = {"timestamp": times, "user_id": names, "prompt_tokens": count, "completion_tokens": count}
        return conform(pa.table(columns))

    scorer = Scorer([Model("m", other)], Tally())
    long = "x" * 1_000_000
    scorer.push(events(["a", "b"], 0, 100))
    changes = scorer.push(events(["*", "a", long + "1", long + "2"], 20, 20_000)) + scorer.flush()
    users = [change["user_id"] for change in changes]
    assert len(set(users)) == 4
    assert "*" not in users
    assert "'*'" in users
    assert sum(user.startswith("xxx") for user in users) == 2
    assert max(map(len, scorer.lanes[0].stream.keys.names)) < 300
