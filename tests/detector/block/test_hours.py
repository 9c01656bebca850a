"""A user's own hours: learned from days, not from one flood."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector.stepping import walk
from seqdetect.detector.block.hours import HOURS, START, usual_hour
from seqdetect.detector.graph import Graph

DAY_S = 86_400.0
DAYS = 6


def seen(time: NDArray[Any], amount: NDArray[Any]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """How usual the hour was and how much was known, both ``[time, n]``, at ``time [time, n]`` in seconds."""
    g = Graph(3, 1)
    columns = [g.features.columns(i, i + 1) for i in range(3)]
    usual, known = usual_hour(g, "hours", columns[1], columns[2], columns[0])
    elapsed = np.diff(time, axis=0, prepend=time[:1])
    found = walk(g, np.stack([elapsed, time % DAY_S, amount], axis=2), usual=(usual, 1), known=(known, 1))
    return found["usual"][..., 0], found["known"][..., 0]


def office(every_s: float, last: list[float]) -> NDArray[np.float64]:
    """[time, n] steps at ``every_s`` from 9 to 17 for some days, then at one hour of ``last`` for each user."""
    day = np.arange(9 * 3600.0, 17 * 3600.0, every_s)
    days = (np.arange(DAYS)[:, None] * DAY_S + day).ravel()
    ends = np.array(last)[None, :] * 3600.0 + DAYS * DAY_S
    return np.concatenate([np.repeat(days[:, None], len(last), axis=1), ends])


def test_every_hour_is_as_usual_as_another_to_a_new_user() -> None:
    time = np.linspace(0.0, DAY_S - 1.0, 200)[None, :]
    usual, known = seen(time, np.ones_like(time))
    np.testing.assert_allclose(usual, 0.0, atol=1e-6)
    np.testing.assert_allclose(known, np.log1p(HOURS * START), rtol=1e-6)


def test_office_hours_are_usual_and_the_night_is_not() -> None:
    time = office(600.0, [10.5, 13.0, 16.2, 22.0, 0.0, 3.0, 6.5])
    usual, known = seen(time, np.full_like(time, np.log(2.0)))
    assert (usual[-1, :3] > 0.5).all()
    assert (usual[-1, 3:] < -2.0).all()
    assert (known[-1] > known[0] + 1.0).all()


def test_the_hours_beside_office_hours_lie_between() -> None:
    time = office(600.0, [7.5, 8.5, 9.5, 10.5])
    usual = seen(time, np.full_like(time, np.log(2.0)))[0][-1]
    assert (np.diff(usual) > 0.2).all()


def test_midnight_parts_no_neighbours() -> None:
    time = np.arange(DAYS)[:, None] * DAY_S + np.array([[23.5 * 3600.0, 0.5 * 3600.0]])
    time = np.concatenate([time, [[DAYS * DAY_S + 0.5 * 3600.0, DAYS * DAY_S + 23.5 * 3600.0]]])
    usual = seen(time, np.ones_like(time))[0][-1]
    assert (usual > 0.5).all()
    np.testing.assert_allclose(*usual, atol=0.1)


def test_a_flood_in_one_step_does_not_make_its_hour_usual() -> None:
    time = office(120.0, [3.0, 3.0])
    later = np.concatenate([time, time[-1:] + 600.0])
    amount = np.full_like(later, np.log(2.0))
    amount[-2, 1] = np.log1p(100_000.0)
    quiet, flooded = seen(later, amount)[0][-1]
    assert quiet < flooded < -1.0


def test_old_hours_are_forgotten() -> None:
    """Twenty days later, and after one step at night, noon is an hour like others."""
    time = office(600.0, [10.0, 20 * 24.0 + 3.0])
    time = np.concatenate([time, time[-1:] + [[7_200.0, 9 * 3600.0]]])
    usual, known = seen(time, np.full_like(time, np.log(2.0)))
    assert usual[-1, 0] > 1.0
    assert usual[-1, 1] < 0.1
    assert known[-1, 1] < 0.3 * known[-1, 0]
