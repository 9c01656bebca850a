"""Surges through the whole scorer: their evidence, the kind that it leads to, cuts, restarts and the calendar."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from crowds import MINUTE, NOON

import handmade
from seqdetect.alert.policy import Policy
from seqdetect.bundle.load import Bundle, load
from seqdetect.events import Tally, conform
from seqdetect.scorer import Model, Scorer

USERS = 60
START = NOON + 160 * MINUTE
END = START + 4 * MINUTE


def some(users: range, start: int, end: int, each: int, seed: int, **script: Any) -> dict[str, np.ndarray]:
    """``each`` requests of every one of ``users`` in [start, end), each from an address of its own, but for ``script``."""
    rng = np.random.default_rng(seed)
    user = np.repeat(np.array(users), each)
    count = len(user)
    columns = {
        "timestamp": rng.integers(start, end, count),
        "user_id": np.array([f"u{number:02d}" for number in user], object),
        "prompt_tokens": np.exp(rng.normal(6.0, 1.0, count)).astype(np.int64),
        "completion_tokens": np.exp(rng.normal(4.0, 0.7, count)).astype(np.int64),
        "client_ip": np.array([f"10.0.{number}.1" for number in user], object),
        "user_agent": np.array([f"client/{number % 4}" for number in user], object),
        "endpoint": np.array([f"/v1/{number % 3}" for number in user], object),
        "status": np.full(count, 200),
    }
    for name, values in script.items():
        columns[name] = rng.choice(np.array(values, object), count)
    return columns


def table(*parts: dict[str, np.ndarray]) -> pa.Table:
    whole = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    whole["timestamp"] = whole["timestamp"].astype("datetime64[us]")
    rows = pa.table({name: pa.array(values.tolist()) for name, values in whole.items()})
    rows = rows.set_column(0, "timestamp", rows["timestamp"].cast(pa.timestamp("us", "UTC")))
    return conform(rows.take(pc.sort_indices(rows["timestamp"])))


ALWAYS = some(range(USERS), NOON, END + 30 * MINUTE, 250, seed=0)
CAMPAIGN = table(ALWAYS, some(range(40), START, END, 20 * 24, seed=1))
HOSTS = [f"198.18.{number}.9" for number in range(250)]
ATTACK = table(
    ALWAYS,
    some(range(12), START, END, 30 * 24, 1, client_ip=HOSTS, user_agent=["bot/1"], prompt_tokens=[900]),
)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return load(handmade.write(tmp_path_factory.mktemp("surges") / "b.onnx"))


def pushed(scorer: Scorer, events: pa.Table, cuts: list[int]) -> list[dict[str, Any]]:
    edges = [0, *cuts, events.num_rows]
    changes = [one for a, b in pairwise(edges) for one in scorer.push(events.slice(a, b - a))]
    return changes + scorer.flush()


def surge(changes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [one for one in changes if one["user_id"] == "*" and one["kind"] != "overflow"]


@pytest.mark.parametrize(
    ("events", "verdict", "kind", "team"),
    [(CAMPAIGN, "campaign", "benign_campaign", "sre"), (ATTACK, "attack", "botnet", "security")],
)
def test_the_same_causes_are_told_apart_by_the_evidence(bundle, events, verdict, kind, team):
    changes = surge(pushed(Scorer([Model("m", bundle)], Tally()), events, []))
    assert [one["change"] for one in changes if one["change"] != "update"] == ["open", "resolve"]
    last = changes[-1]
    assert (last["triage"]["verdict"], last["kind"]) == (verdict, kind)
    assert team in last["teams"]
    found = {one["name"]: one for one in last["triage"]["evidence"]}
    assert found["new_networks"]["points_to"] == verdict
    if verdict == "attack":
        assert found["new_networks"]["value"] > 0.9 > 0.1 > found["new_networks"]["usual"]
    else:
        assert len(changes) <= 6, "evidence that grows is no news"


@pytest.mark.parametrize("events", [CAMPAIGN, ATTACK])
def test_cuts_and_restarts_do_not_show(bundle, events, tmp_path: Path):
    expected = pushed(Scorer([Model("m", bundle)], Tally()), events, [])
    assert surge(expected)
    rng = np.random.default_rng(5)
    cuts = np.sort(rng.integers(0, events.num_rows, 30)).tolist()
    assert pushed(Scorer([Model("m", bundle)], Tally()), events, cuts) == expected
    times = events["timestamp"].cast(pa.int64()).to_numpy()
    middle = int(np.searchsorted(times, START + 2 * MINUTE))
    first, second = (Scorer([Model("m", bundle)], Tally()) for _ in range(2))
    changes = first.push(events.slice(0, middle))
    assert first.lanes[0].heads[0].book.surge is not None
    first.save(tmp_path / "c.ckpt")
    second.load(tmp_path / "c.ckpt")
    assert changes + pushed(second, events.slice(middle), []) == expected


def test_a_model_that_takes_over_goes_on_with_the_evidence(bundle):
    expected = surge(pushed(Scorer([Model("m", bundle)], Tally()), ATTACK, []))
    times = ATTACK["timestamp"].cast(pa.int64()).to_numpy()
    middle = int(np.searchsorted(times, START - 5 * MINUTE))
    scorer = Scorer([Model("m", bundle)], Tally())
    scorer.push(ATTACK.slice(0, middle))
    scorer.swap([Model("m", bundle), Model("s", bundle, shadow=True)])
    changes = surge(pushed(scorer, ATTACK.slice(middle), []))
    for name in ("m", "s"):
        told = [one["triage"] for one in changes if one["model"] == name]
        assert told == [one["triage"] for one in expected]


def test_a_launch_in_the_calendar_is_named(bundle):
    policy = Policy(calendar=(("spring sale", START - MINUTE, END),))
    scorer = Scorer([Model("m", bundle, policy=policy)], Tally())
    last = surge(pushed(scorer, CAMPAIGN, []))[-1]
    assert {"name": "calendar", "value": "spring sale", "usual": None, "points_to": "campaign"} in last[
        "triage"
    ]["evidence"]


def test_without_networks_and_agents_the_verdict_makes_do(bundle):
    needed = ["timestamp", "user_id", "prompt_tokens", "completion_tokens"]
    last = surge(pushed(Scorer([Model("m", bundle)], Tally()), CAMPAIGN.select(needed), []))[-1]
    found = {one["name"]: one for one in last["triage"]["evidence"]}
    assert found["new_networks"] == {"name": "new_networks", "value": None, "usual": None, "points_to": None}
    assert last["triage"]["verdict"] == "campaign"
