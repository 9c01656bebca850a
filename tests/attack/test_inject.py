"""The injector: who is attacked when, how evenly, and what stays as it was."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from seqdetect import events as ev
from seqdetect.attack import STRENGTHS, Attack
from seqdetect.attack.agent_loop import AgentLoop
from seqdetect.attack.benign_batch_job import BenignBatchJob
from seqdetect.attack.benign_campaign import BenignCampaign
from seqdetect.attack.botnet import Botnet
from seqdetect.attack.degradation import Degradation
from seqdetect.attack.drip import Drip
from seqdetect.attack.flood import Flood
from seqdetect.attack.inflation import Inflation
from seqdetect.attack.inject import COLUMNS, Injector
from seqdetect.attack.strength import DAY, HOUR
from seqdetect.attack.wallet import Wallet

EPOCH = 20_000 * DAY
START, END = EPOCH + 2 * DAY, EPOCH + 4 * DAY
SINGLE: dict[str, Attack] = {
    "flood": Flood(),
    "wallet": Wallet(),
    "drip": Drip(),
    "loop": AgentLoop(),
    "botnet": Botnet(),
    "job": BenignBatchJob(),
    "campaign": BenignCampaign(),
}
WIDE: dict[str, Attack] = {"degradation": Degradation(), "inflation": Inflation()}


def traffic(users: int = 30, per_user: int = 120, nulls: bool = False) -> pa.Table:
    rng = np.random.default_rng(3)
    n = users * per_user
    latency = rng.gamma(2.0, 200.0, size=n)
    table = pa.table(
        {
            "timestamp": pa.array(rng.integers(EPOCH, END, size=n), pa.timestamp("us", tz="UTC")),
            "user_id": [f"user-{i % users:02d}" for i in range(n)],
            "prompt_tokens": rng.integers(10, 2_000, size=n),
            "completion_tokens": rng.integers(1, 500, size=n),
            "client_ip": [f"10.0.0.{i % 7}" for i in range(n)],
            "status": pa.array([None if nulls and i % 5 == 0 else 200 for i in range(n)], pa.int16()),
            "latency_ms": pa.array([None if nulls and i % 3 == 0 else x for i, x in enumerate(latency)]),
        }
    )
    return ev.sort(ev.conform(table))


TRAFFIC = traffic()


def inject(attacks: dict[str, Attack], seed: int = 0, **options: object) -> tuple[pa.Table, pd.DataFrame]:
    return Injector(attacks).inject(TRAFFIC, START, END, np.random.default_rng(seed), **options)  # type: ignore[arg-type]


def own(table: pa.Table, user: str) -> str:
    mine = table.filter(pc.equal(table.column("user_id").cast(pa.string()), user))
    return ev.fingerprint(pa.table({name: ev._plain(mine.column(name)) for name in mine.column_names}))


def test_same_seed_same_result() -> None:
    (one, first), (same, again), (other, _) = (inject(SINGLE | WIDE, seed) for seed in (1, 1, 2))
    assert one.equals(same)
    pd.testing.assert_frame_equal(first, again)
    assert not one.equals(other)


def test_incidents_of_a_user_keep_their_distance() -> None:
    _, labels = inject(SINGLE | WIDE, count=80)
    wide = labels["kind"].isin(list(WIDE))
    for _, mine in labels[~wide].groupby("user_id"):
        spans = sorted(zip(mine["start"], mine["end"], strict=True))
        assert all(later[0] - earlier[1] >= 2 * HOUR for earlier, later in pairwise(spans))
    attacks = labels[~wide & ~labels["kind"].str.startswith("benign_")]
    for start, end in labels[wide].groupby("incident_id").agg({"start": "min", "end": "max"}).to_numpy():
        assert ((attacks["end"] <= start - 2 * HOUR) | (attacks["start"] >= end + 2 * HOUR)).all()


def test_clean_users_stay_as_they_were() -> None:
    events, labels = inject(SINGLE)
    everyone = set(TRAFFIC.column("user_id").to_pylist())
    clean = everyone - set(labels["user_id"])
    assert len(clean) >= 0.3 * len(everyone)
    assert all(own(events, user) == own(TRAFFIC, user) for user in clean)


def test_kinds_and_strengths_come_equally_often() -> None:
    attacks = {name: SINGLE[name] for name in ("flood", "wallet", "loop")}
    _, labels = inject(attacks, count=24)
    counts = labels.groupby(["kind", "strength"]).size()
    assert len(counts) == 3 * len(STRENGTHS)
    assert (counts == 2).all()


def test_seldom_kinds_are_seldom() -> None:
    incidents = inject(SINGLE, count=60)[1].drop_duplicates("incident_id")["kind"].value_counts()
    assert incidents["benign_campaign"] <= 0.5 * incidents["flood"]


def test_one_service_wide_incident_a_day() -> None:
    _, labels = inject(WIDE)
    assert labels["incident_id"].nunique() == 2
    assert set(labels["kind"]) == set(WIDE)
    assert labels.groupby("incident_id")["user_id"].nunique().min() > 10
    assert Injector(WIDE, service_per_day=0.0).inject(TRAFFIC, START, END, np.random.default_rng(0))[1].empty


def test_density_and_count() -> None:
    assert 60 <= len(inject(SINGLE)[1]) <= 85  # 30 users, 2 days, 1.25 a day each: 75, some without room
    assert 5 <= len(inject(SINGLE, count=5)[1]) <= 5 + 15


def test_labels_lie_in_the_stretch_and_outside_nothing_changes() -> None:
    events, labels = inject(SINGLE | WIDE)
    assert list(labels.columns) == COLUMNS
    assert labels["start"].dtype == np.int64
    assert labels["start"].min() >= START
    assert labels["end"].max() <= END
    assert labels["start"].is_monotonic_increasing
    before = [t.filter(pc.less(t.column("timestamp").cast(pa.int64()), START)) for t in (events, TRAFFIC)]
    assert before[0].num_rows == before[1].num_rows
    assert all(own(before[0], user) == own(before[1], user) for user in labels["user_id"].unique())


def test_vary_scales_the_attacks() -> None:
    attacks: dict[str, Attack] = {"flood": Flood(least_added=(1, 1, 1, 1), factors=(900,) * 4)}
    weak, hard = (inject(attacks, count=8, vary=vary)[0].num_rows for vary in ((0.3, 0.4), (2.0, 2.5)))
    assert hard - TRAFFIC.num_rows > 4 * (weak - TRAFFIC.num_rows)


def test_without_attacks_events_stay() -> None:
    events, labels = inject({})
    assert events.equals(TRAFFIC)
    assert list(labels.columns) == COLUMNS
    assert labels.empty


def test_users_without_a_past_are_left_alone() -> None:
    late = TRAFFIC.filter(pc.greater_equal(TRAFFIC.column("timestamp").cast(pa.int64()), START))
    events, labels = Injector(SINGLE | WIDE).inject(late, START, END, np.random.default_rng(0))
    assert labels.empty
    assert events.equals(late)


def test_missing_values_and_arrival_order_survive() -> None:
    table = traffic(nulls=True)
    shuffled = table.take(np.random.default_rng(0).permutation(table.num_rows))
    events, labels = Injector(SINGLE | WIDE).inject(shuffled, START, END, np.random.default_rng(0))
    assert len(labels) > 0
    assert events.schema == table.schema
    assert events.column("status").null_count > 0
    same, _ = Injector(SINGLE | WIDE).inject(table, START, END, np.random.default_rng(0))
    assert events.num_rows == same.num_rows


def test_ids_of_two_stretches_differ() -> None:
    middle = (START + END) // 2
    injector = Injector(SINGLE | WIDE)
    events, first = injector.inject(TRAFFIC, START, middle, np.random.default_rng(0))
    _, second = injector.inject(events, middle, END, np.random.default_rng(0))
    assert not set(first["incident_id"]) & set(second["incident_id"])


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="clean"):
        Injector(SINGLE, clean=0.1)
    with pytest.raises(ValueError, match="service_per_day"):
        Injector(SINGLE, service_per_day=2.0)
    with pytest.raises(ValueError, match="must end after it starts"):
        Injector(SINGLE).inject(TRAFFIC, END, START, np.random.default_rng(0))
