"""Generated traffic: the same every time, in order, and as uneven as real users are."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from seqdetect import events
from seqdetect.events import Tally
from seqdetect.source import Source
from seqdetect.source.synthetic import Synthetic
from seqdetect.source.traffic import arrivals, clients, lengths, rates, sizes
from seqdetect.source.traffic.population import POPULATION


def table(**arguments: object) -> pa.Table:
    return events.concat(Synthetic(**arguments).read(Tally()))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def demo() -> pd.DataFrame:
    return table(users=60, days=6.0, seed=0).to_pandas()


@pytest.fixture(scope="module")
def plan() -> np.ndarray:
    source = Synthetic(users=120, days=14.0, seed=1)
    return source.plan(np.random.default_rng(1)).rates


def test_is_a_source() -> None:
    source: Source = Synthetic(users=2, days=0.2)
    assert source.licence
    assert source.reference
    assert source.incidents() is None


def test_batches_have_the_schema_and_are_counted() -> None:
    tally = Tally()
    batches = list(Synthetic(users=5, days=1.0, mean_rate=0.5).read(tally))
    assert len(batches) > 1
    assert tally.read == sum(batch.num_rows for batch in batches)
    assert not tally.rejected
    expected = [field for field in events.SCHEMA if field.name != "event_id"]
    assert list(batches[0].schema) == expected


def test_same_seed_same_events() -> None:
    first, second = table(users=7, days=1.0, seed=3), table(users=7, days=1.0, seed=3)
    assert first.equals(second)
    assert events.fingerprint(first) == events.fingerprint(second)


def test_reading_twice_gives_the_same_events() -> None:
    source = Synthetic(users=3, days=0.5)
    assert events.concat(source.read(Tally())).equals(events.concat(source.read(Tally())))


def test_another_seed_other_events() -> None:
    assert not table(users=7, days=1.0, seed=3).equals(table(users=7, days=1.0, seed=4))


def test_time_order_and_span(demo: pd.DataFrame) -> None:
    assert demo.timestamp.is_monotonic_increasing
    assert demo.timestamp.min() >= pd.Timestamp("2026-03-02T00:00:00Z")
    assert demo.timestamp.max() < pd.Timestamp("2026-03-08T00:00:00Z")


@pytest.mark.parametrize("days", [0.001, 0.3, 1.0, 1.0037])
def test_any_span_and_few_users(days: float) -> None:
    made = table(users=2, days=days, seed=5).to_pandas()
    assert made.user_id.nunique() == 2
    start = pd.Timestamp("2026-03-02T00:00:00Z")
    assert (made.timestamp >= start).all()
    assert (made.timestamp < start + pd.Timedelta(days=days)).all()


@pytest.mark.parametrize("wrong", [{"users": 0}, {"days": 0.0}, {"mean_rate": -1.0}])
def test_arguments_that_make_no_sense(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Synthetic(**wrong)  # type: ignore[arg-type]


def test_the_clock_follows_the_epoch() -> None:
    """A span that begins at noon finds the same users busy at the same hours."""
    days = [
        Synthetic(users=80, days=14.0, epoch=epoch).plan(np.random.default_rng(0)).rates
        for epoch in ("2026-03-02T00:00:00Z", "2026-03-02T12:00:00")
    ]
    midnight, noon = (made.reshape(80, 14, 144).mean(axis=(0, 1)) for made in days)
    wave = np.exp(2j * np.pi * np.arange(144) / 144)
    turn = np.angle((noon @ wave) / (midnight @ wave))
    assert abs(turn) > 2.5


def test_an_epoch_that_is_no_date_is_named() -> None:
    with pytest.raises(ValueError, match="tomorrow"):
        next(Synthetic(users=1, days=0.1, epoch="tomorrow").read(Tally()))


def test_tokens_are_counts(demo: pd.DataFrame) -> None:
    assert (demo.prompt_tokens >= 1).all()
    assert (demo.completion_tokens >= 0).all()
    assert (demo.completion_tokens <= 8192).all()
    assert (demo.completion_tokens[demo.status != 200] == 0).all()
    assert not demo.isna().any().any()


@pytest.mark.parametrize("seed", range(4))
def test_size_of_the_demo(seed: int) -> None:
    per_user = table(seed=seed).to_pandas().user_id.value_counts()
    assert 300_000 < per_user.sum() < 600_000
    assert len(per_user) == 60
    assert per_user.min() > 20
    assert per_user.max() < 0.15 * per_user.sum()


def test_sizes_have_a_heavy_tail(demo: pd.DataFrame) -> None:
    per_user = demo.user_id.value_counts().to_numpy()
    assert per_user.mean() > 1.5 * np.median(per_user)
    assert np.quantile(per_user, 0.95) > 30 * np.quantile(per_user, 0.1)


def test_volumes_keep_sum_floor_and_cap() -> None:
    rng = np.random.default_rng(0)
    made = sizes.volumes(rng.beta(0.6, 0.7, 60) + 0.02, 2.0, 0.0145, 6.0, rng)
    total = 0.0145 * 86_400 * 6 * 60
    assert made.sum() == pytest.approx(total)
    assert made.min() >= 120 - 1e-9
    assert made.max() <= sizes.LARGEST_SHARE * total * (1 + 1e-9)


def test_activity_is_between_machines_and_rare_users(plan: np.ndarray) -> None:
    share = (plan > 0).mean(axis=1)
    assert (share == 1).mean() > 0.04
    assert (share < 0.2).mean() > 0.15


def test_daily_rhythm_differs_between_users(plan: np.ndarray) -> None:
    day = plan.reshape(len(plan), -1, rates.DAY_CELLS).mean(axis=1)
    wave = (day @ np.exp(2j * np.pi * np.arange(rates.DAY_CELLS) / rates.DAY_CELLS)) / day.sum(axis=1)
    assert 0.2 < np.median(np.abs(wave)) < 0.5
    assert np.quantile(np.abs(wave), 0.1) < 0.15
    assert np.quantile(np.abs(wave), 0.9) > 0.6


def test_weekends_are_quieter(plan: np.ndarray) -> None:
    days = plan.reshape(len(plan), 14, -1).mean(axis=2)
    is_weekend = np.isin(np.arange(14) % 7, (5, 6))
    factor = days[:, is_weekend].mean(axis=1) / days[:, ~is_weekend].mean(axis=1)
    assert np.median(factor) < 0.9
    assert (factor < 0.3).mean() > 0.1
    assert (factor > 0.8).mean() > 0.2


def test_gaps_are_bursty_for_most_and_regular_for_some() -> None:
    made = table(users=60, days=1.0, seed=2, mean_rate=0.1).to_pandas()
    seconds = made.timestamp.astype("int64") / 1e6
    cell = [made.user_id.astype(str), seconds // 600]
    gaps = seconds.groupby(cell).diff().groupby(cell).agg(["mean", "std", "size"])
    cv = (gaps["std"] / gaps["mean"])[gaps["size"] >= 20]
    by_user = cv.groupby(level=0).median()
    assert (by_user > 1).mean() > 0.5
    assert (by_user < 0.8).any()


def test_lengths_are_skewed_and_users_differ(demo: pd.DataFrame) -> None:
    served = demo[demo.status == 200]
    assert served.prompt_tokens.mean() > 1.3 * served.prompt_tokens.median()
    medians = served.groupby(served.user_id.astype(str)).completion_tokens.median()
    assert medians.quantile(0.9) > 10 * medians.quantile(0.1)


def test_prompts_grow_within_a_conversation() -> None:
    rng = np.random.default_rng(0)
    user, cell = np.zeros(4000, dtype=np.int64), np.zeros(4000, dtype=np.int64)
    requests = lengths.Requests(user, cell, np.arange(4000) // 5)
    laws = lengths.draw(1, POPULATION, rng)
    prompt, _ = lengths.sample(laws, requests, np.zeros((1, 1)), POPULATION, rng)
    assert (np.diff(prompt.reshape(-1, 5), axis=1) >= 0).all()


def test_mixture_has_median_zero_and_spread_one() -> None:
    made = lengths.mixture_quantiles(np.array([0.0, 0.3]), np.array([0.0, 4.0]), np.array([1.0, 0.5]))
    np.testing.assert_allclose(made[0], lengths.GRID, atol=0.05)
    at = {z: int(np.argmin(np.abs(lengths.GRID - z))) for z in (-1, 0, 1)}
    np.testing.assert_allclose(made[:, at[0]], 0.0, atol=1e-9)
    np.testing.assert_allclose(made[:, at[1]] - made[:, at[-1]], 2.0, atol=1e-9)


def test_latency_follows_completion_length(demo: pd.DataFrame) -> None:
    served = demo[demo.status == 200]
    ranks = served[["latency_ms", "completion_tokens"]].rank()
    assert ranks.corr().iloc[0, 1] > 0.5
    assert (served.latency_ms > 0).all()


def test_most_requests_succeed_and_users_differ_in_errors(demo: pd.DataFrame) -> None:
    share = demo.status.value_counts(normalize=True)
    assert set(share.index) == {200, 400, 429, 500}
    assert share[200] > 0.95


def test_addresses_stick_to_sessions_and_some_users_have_many(demo: pd.DataFrame) -> None:
    per_user = demo.groupby(demo.user_id.astype(str)).client_ip.nunique()
    assert per_user.median() <= 6
    assert per_user.max() >= 8
    assert demo.client_ip.astype(str).str.startswith("100.").all()


def test_sessions_end_at_pauses_and_at_users() -> None:
    user = np.array([0, 0, 0, 1, 1])
    made = clients.sessions(user, np.array([0.0, 10.0, 5000.0, 5001.0, 5002.0]), 1800.0)
    assert made.tolist() == [0, 0, 1, 2, 2]


@pytest.mark.parametrize("cv", [0.2, 1.0, 3.0])
@pytest.mark.parametrize("weibull", [False, True])
def test_gaps_have_the_wanted_variation(cv: float, weibull: bool) -> None:
    shape = (arrivals.weibull_shape if weibull else arrivals.gamma_shape)(np.array([cv]))
    rng = np.random.default_rng(0)
    made = arrivals.fill(np.zeros(1), np.ones(1), np.array([200_000]), shape, np.array([weibull]), rng)
    gaps = np.diff(made)
    assert gaps.std() / gaps.mean() == pytest.approx(cv, rel=0.05)


def test_fill_meets_counts_and_stays_inside() -> None:
    counts = np.array([3, 0, 1, 50_000])
    starts, widths = np.array([0.0, 600.0, 1200.0, 1800.0]), np.array([600.0, 600.0, 300.0, 1.0])
    made = arrivals.fill(
        starts, widths, counts, np.full(4, 0.05), np.zeros(4, bool), np.random.default_rng(0)
    )
    assert np.searchsorted(made, [600.0, 1200.0, 1800.0]).tolist() == [3, 3, 4]
    assert made.size == counts.sum()
    assert made.max() < 1801.0
    assert (np.diff(made) >= 0).all()
