"""The scorer: the same scores for any chunking, a memory that can be put down and taken up, causes named."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import START_US, traffic
from seqdetect.bundle.load import load
from seqdetect.events import MICROSECONDS, Tally, concat, conform, sort
from seqdetect.score.engine import Engine, Scored
from seqdetect.score.writer import table

LIVE = traffic(users=6, hours=5, seed=9, rate_s=0.05)


def as_table(parts: list[Scored]) -> pa.Table:
    return pa.concat_tables([table(part) for part in parts]).sort_by(
        [("timestamp", "ascending"), ("user_id", "ascending")]
    )


def run(engine: Engine, events: pa.Table, cuts: list[int] = []) -> pa.Table:  # noqa: B006
    edges = [0, *sorted(cuts), events.num_rows]
    parts = [engine.push(events.slice(a, b - a)) for a, b in pairwise(edges)]
    return as_table([*parts, engine.flush()])


@pytest.fixture(scope="module")
def bundle(bundle_path):
    return load(bundle_path)


@pytest.fixture(scope="module")
def whole(bundle):
    return run(Engine(bundle, Tally()), LIVE)


@settings(max_examples=12, deadline=None)
@given(cuts=st.lists(st.integers(0, LIVE.num_rows), max_size=20), seed=st.integers(0, 2**31))
def test_chunks_and_interleaving_do_not_matter(bundle, whole, cuts, seed):
    times = LIVE.column("timestamp").cast(pa.int64()).to_numpy()
    delay = np.random.default_rng(seed).uniform(0, 9.9e6, len(times))
    arrival = LIVE.take(pa.array(np.argsort(times + delay, kind="stable")))
    assert run(Engine(bundle, Tally()), arrival, cuts).equals(whole)


def test_a_user_alone_gets_the_same_facts_but_for_the_population(bundle, whole):
    # iforest does not read the population, so other users must not change a bit
    alone = LIVE.filter(pa.compute.equal(LIVE.column("user_id").cast(pa.string()), "user-1"))
    mine = whole.filter(pa.compute.equal(whole.column("user_id"), "user-1"))
    assert run(Engine(bundle, Tally()), alone).equals(mine)


def test_a_burst_is_found_and_its_cause_named(bundle):
    history = traffic(users=6, hours=36, seed=0)
    begin = START_US + 37 * 3600 * MICROSECONDS
    burst = conform(
        pa.table(
            {
                "timestamp": pa.array(begin + np.arange(400) * 50_000).cast(pa.timestamp("us", "UTC")),
                "user_id": ["user-2"] * 400,
                "prompt_tokens": [300] * 400,
                "completion_tokens": [90] * 400,
            }
        )
    )
    engine = Engine(bundle, Tally(), {"warning": 1.0, "critical": 3.0})
    engine.push(history)
    scored = engine.push(burst)
    assert len(scored) == 0 or (scored.tick <= begin + 20 * MICROSECONDS).all()
    scored = engine.flush()
    last = int(np.argmax(scored.tick))
    assert scored.level[last] > 0
    assert scored.causes[last][0].name == "requests"
    assert scored.causes[last][0].value > 10 * scored.causes[last][0].expected
    assert scored.tokens[last].sum() > 10_000


def test_thresholds_only_for_known_tiers(bundle):
    with pytest.raises(ValueError, match="unknown tiers"):
        Engine(bundle, Tally(), {"urgent": 3.0})


def test_new_users_start_from_the_population(bundle):
    newcomer = LIVE.slice(0, 30).set_column(1, "user_id", pa.array(["newcomer"] * 30).dictionary_encode())
    got = run(Engine(bundle, Tally()), sort(concat([LIVE, conform(newcomer)])))
    fresh = got.filter(pa.compute.equal(got.column("user_id"), "newcomer"))
    assert fresh.num_rows > 5
    score = fresh.column("score").to_numpy()
    assert np.isfinite(score).all()
    # having no past is nothing to be alarmed at
    assert score[0] < bundle.metadata.thresholds["critical"].value
