from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from seqdetect.attack import Scene
from seqdetect.attack.flood import Flood
from seqdetect.attack.strength import HOUR, at, busy_slot, jittered, scaled, slot


def scene(times: list[int], end: int) -> Scene:
    frame = pd.DataFrame({"timestamp": np.array(times, dtype=np.int64)})
    return Scene(frame, ("a",), frame, 0, end)


def test_tables_are_ordered_from_blatant_to_subtle() -> None:
    assert at((4, 3, 2, 1), "blatant") == 4
    assert at((4, 3, 2, 1), "subtle") == 1


def test_jitter_keeps_what_is_more_than_usual_more_than_usual() -> None:
    rng = np.random.default_rng(0)
    drawn = np.array([jittered(2.0, rng) for _ in range(500)])
    assert drawn.min() >= 1.7
    assert drawn.max() <= 2.3
    assert all(0.35 <= jittered(0.5, rng) <= 0.65 for _ in range(100))


def test_scaling_leaves_floors_and_the_original_alone() -> None:
    flood = Flood(factors=(11.0, 3.0, 2.0, 0.5), hours=(1.0, 2.0))
    harder = scaled(flood, 2.0)
    assert isinstance(harder, Flood)
    assert harder.factors == (21.0, 5.0, 3.0, 1.0)
    assert harder.hours == (2.0, 4.0)
    assert harder.least_added == flood.least_added
    assert flood.factors[0] == 11.0


def test_scaling_takes_any_attack() -> None:
    @dataclass(frozen=True)
    class Plain(Flood):
        pass

    class Bare:
        kind = "unknown"

    assert isinstance(scaled(Plain(), 2.0), Plain)
    bare = Bare()
    assert scaled(bare, 2.0) is bare  # type: ignore[arg-type]


def test_slots_lie_in_the_scene() -> None:
    rng = np.random.default_rng(0)
    for _ in range(100):
        start, end = slot(scene([], 3 * HOUR), (1.0, 2.0), rng)
        assert 0 <= start < end <= 3 * HOUR
        assert HOUR <= end - start <= 2 * HOUR
    assert slot(scene([], HOUR), (5.0, 8.0), rng) == (0, HOUR)


def test_busy_slots_begin_with_an_event() -> None:
    rng = np.random.default_rng(0)
    assert busy_slot(scene([HOUR, 9 * HOUR], 10 * HOUR), (2.0, 2.0), rng) == (HOUR, 3 * HOUR)
    start, end = busy_slot(scene([], 10 * HOUR), (2.0, 2.0), rng)
    assert end - start == 2 * HOUR
