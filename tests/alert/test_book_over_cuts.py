"""However the stream is cut into batches, wherever the memory is taken up: the same changes of alerts."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import handmade
from conftest import START_US
from seqdetect.alert.policy import Escalate, Objectives, Policy
from seqdetect.alert.prices import Price, Prices
from seqdetect.bundle.load import Bundle, load
from seqdetect.events import MICROSECONDS, Tally, conform, sort
from seqdetect.scorer import Model, Scorer

POLICY = Policy(
    quiet_s=120.0,
    cooldown_s=900.0,
    escalate=Escalate(cost_per_hour_usd=40.0, slo_burn=30.0),
    demote_below_usd_per_hour=5.0,
    objectives=Objectives(0.99, 0.9, 2500.0),
    cap_per_day={"warning": 3, "critical": 2},
)
PRICES = Prices(Price(2.5, 10.0), {"big": Price(15.0, 75.0)})


def restless(seed: int, users: int = 10, minutes: int = 120) -> pa.Table:
    """Users who burst now and then, some of them together, over a midnight."""
    rng = np.random.default_rng(seed)
    begin = START_US - 60 * 60 * MICROSECONDS
    rows: list[tuple[float, int]] = []
    for user in range(users):
        rows += [(second, user) for second in np.sort(rng.uniform(0, minutes * 60, minutes))]
        for start in rng.uniform(0, minutes * 60 - 400, 3):
            for tick in range(int(rng.integers(1, 12))):
                rows += [
                    (start + 10 * tick + second, user)
                    for second in rng.uniform(0, 10, int(rng.integers(3, 45)))
                ]
    together = rng.uniform(0, minutes * 60 - 400, 1)
    rows += [(start + s, user) for start in together for user in range(9) for s in rng.uniform(0, 60, 150)]
    n = len(rows)
    seconds = np.array([row[0] for row in rows])
    return sort(
        conform(
            pa.table(
                {
                    "timestamp": pa.array(begin + (seconds * MICROSECONDS).astype(np.int64)).cast(
                        pa.timestamp("us", "UTC")
                    ),
                    "user_id": [f"u{row[1]:02d}" for row in rows],
                    "prompt_tokens": rng.integers(1, 2_000, n),
                    "completion_tokens": rng.integers(1, 2_000, n),
                    "model": rng.choice(["big", "small"], n),
                    "status": rng.choice([200, 500], n, p=[0.8, 0.2]),
                    "latency_ms": rng.lognormal(7, 1, n),
                }
            )
        )
    )


EVENTS = restless(4)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return load(handmade.write(tmp_path_factory.mktemp("handmade") / "b.onnx"))


def scorer(bundle: Bundle, most: int | None) -> Scorer:
    return Scorer([Model("m", bundle, prices=PRICES, policy=POLICY)], Tally(), max_users=most)


def told(bundle: Bundle, cuts: list[tuple[int, bool]], path: Path, most: int | None) -> list[dict[str, Any]]:
    """The changes; at some of the ``cuts`` another scorer goes on from the memory of the one before."""
    at_work, changes = scorer(bundle, most), []
    edges = sorted(cuts)
    places = [0, *(place for place, _ in edges), EVENTS.num_rows]
    for (begin, end), again in zip(pairwise(places), [*(again for _, again in edges), False], strict=True):
        changes += at_work.push(EVENTS.slice(begin, end - begin))
        if again:
            at_work.save(path)
            at_work = scorer(bundle, most)
            at_work.load(path)
    return changes + at_work.flush()


class Whole(dict[int | None, list[dict[str, Any]]]):
    """The changes of the stream in one piece, by how many users are remembered."""

    def __repr__(self) -> str:
        return "Whole()"  # or a failure would be as long as the stream


@pytest.fixture(scope="module")
def whole(bundle: Bundle) -> Whole:
    return Whole({most: told(bundle, [], Path(), most) for most in (None, 4)})


def test_the_stream_has_everything_in_it(whole: Whole) -> None:
    changes = whole[None]
    seen = Counter((change["change"], change["muted"]) for change in changes)
    assert all(seen[what, False] for what in ("open", "update", "resolve"))
    assert seen["open", True]
    assert {change["kind"] for change in changes} >= {"overflow", "benign_campaign"}
    assert any(change["reopened"] for change in changes if change["user_id"] != "*")
    assert any(change["severity"] != change["tier"] for change in changes)
    assert any(change["impact"]["slo_burn"] for change in changes)
    assert any(change["into"] for change in changes)
    assert all(change["cost_usd"] is not None for change in changes if change["kind"] != "overflow")


@pytest.mark.parametrize("most", [None, 4])
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.tuples(st.integers(0, EVENTS.num_rows), st.booleans()), min_size=1, max_size=8))
def test_neither_cuts_nor_restarts_show(
    bundle: Bundle, tmp_path: Path, whole: Whole, most: int | None, cuts: list[tuple[int, bool]]
) -> None:
    assert told(bundle, cuts, tmp_path / "c", most) == whole[most]


def test_the_standing_alerts_are_those_that_were_told_and_not_resolved(bundle: Bundle) -> None:
    at_work, last = scorer(bundle, None), {}
    counts = set()
    for begin in range(0, EVENTS.num_rows, 197):
        for change in at_work.push(EVENTS.slice(begin, 197)):
            last[change["alert_id"]] = change
        standing = {change["alert_id"]: change for change in at_work.standing()}
        assert set(standing) == {ident for ident, change in last.items() if change["change"] != "resolve"}
        for ident, change in standing.items():
            assert change["change"] == "update"
            for name in ("severity", "kind", "teams", "muted", "start", "reopened", "user_id"):
                assert change[name] == last[ident][name]
        counts.add(len(standing))
    assert max(counts) > 3
