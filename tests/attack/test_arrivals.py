from __future__ import annotations

import numpy as np

from seqdetect.attack.arrivals import echoed, load, scattered, steady

SECOND = 1_000_000
HOUR = 3_600 * SECOND


def test_load_follows_the_rate() -> None:
    rng = np.random.default_rng(0)
    counts = [load(0.1, 0, HOUR, (1, 10_000), rng)[0] for _ in range(200)]
    assert abs(np.mean(counts) - 360) < 5


def test_load_has_a_floor_and_a_ceiling() -> None:
    rng = np.random.default_rng(0)
    count, end = load(0.0, 0, HOUR, (100, 1_000), rng)
    assert 85 <= count <= 115
    assert end == HOUR
    count, end = load(1.0, 0, HOUR, (100, 1_000), rng, shortest=0.1)
    assert abs(count - 1_000) < 150
    assert abs(end / HOUR - 1_000 / 3_600) < 1e-6
    count, end = load(1e6, 0, HOUR, (100, 1_000), rng, shortest=0.1)
    assert count == 1_000
    assert abs(end / HOUR - 0.1) < 1e-6


def test_arrivals_are_ascending_and_inside() -> None:
    rng = np.random.default_rng(0)
    for times in (scattered(500, 10, HOUR, rng), steady(500, 10, HOUR, rng, 0.1)):
        assert len(times) == 500
        assert (np.diff(times) >= 0).all()
        assert times[0] >= 10
        assert times[-1] < HOUR


def test_arrivals_fit_the_shortest_stretch() -> None:
    rng = np.random.default_rng(0)
    assert scattered(3, 7, 8, rng).tolist() == [7, 7, 7]
    assert steady(1, 7, 8, rng, 0.1).tolist() == [7]


def test_steady_gaps_have_the_spread_asked_for() -> None:
    gaps = np.diff(steady(5_000, 0, HOUR, np.random.default_rng(0), 0.2))
    assert abs(gaps.std() / gaps.mean() - 0.2) < 0.02


def test_echoes_stay_near_what_they_copy() -> None:
    rng = np.random.default_rng(0)
    times = np.arange(0, 100 * HOUR, HOUR)
    when, copied = echoed(times, np.full(100, 3.0), 60 * SECOND, (0, 100 * HOUR), rng)
    assert 240 < len(when) < 360
    assert (np.diff(when) >= 0).all()
    assert (np.abs(when - times[copied]) <= 60 * SECOND).all()
