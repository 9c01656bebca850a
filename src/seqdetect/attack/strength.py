"""How hard and when: strength tables, jitter, and where in its scene an attack takes place."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from seqdetect.attack import STRENGTHS, Attack, Scene, Strength
from seqdetect.events import MICROSECONDS

HOUR = 3_600 * MICROSECONDS
DAY = 24 * HOUR

SPREAD = 0.3
"""Factors vary by this share either way, so that no two incidents are alike."""


def at(table: Sequence[float], strength: Strength) -> float:
    """The entry of ``table`` [strength], which is ordered as ``STRENGTHS``: blatant first.

    >>> at((30, 10, 4, 2), "subtle")
    2.0
    """
    return float(table[STRENGTHS.index(strength)])


def jittered(factor: float, rng: np.random.Generator) -> float:
    """``factor`` with what it exceeds 1 by varied by ``SPREAD``; a factor up to 1 is varied as a whole."""
    by = float(rng.uniform(1 - SPREAD, 1 + SPREAD))
    return stretched(factor, by)


def stretched(factor: float, by: float) -> float:
    """``factor`` made ``by`` times as strong, where 1 means "as usual" and so stays 1."""
    return 1 + (factor - 1) * by if factor > 1 else factor * by


def scaled(attack: Attack, by: float) -> Attack:
    """``attack`` with its ``factors`` (beyond 1) and ``hours`` multiplied by ``by``.

    Attacks without these fields, or that are no dataclasses, come back as they are.
    """
    built: Any = attack
    if not dataclasses.is_dataclass(type(attack)):
        return attack
    names = {field.name for field in dataclasses.fields(built)}
    changes: dict[str, tuple[float, ...]] = {}
    if "factors" in names:
        changes["factors"] = tuple(stretched(float(factor), by) for factor in built.factors)
    if "hours" in names:
        changes["hours"] = tuple(float(hours) * by for hours in built.hours)
    return cast(Attack, dataclasses.replace(built, **changes))


def room(hours: Sequence[float], search: float = 0.0) -> tuple[int, int]:
    """Least and most microseconds for an attack of ``hours`` that has ``search`` hours to choose from.

    >>> room((0.5, 2.0), search=1.0)
    (1800000000, 10800000000)
    """
    return int(hours[0] * HOUR), int((hours[1] + search) * HOUR)


def duration(scene: Scene, hours: Sequence[float], rng: np.random.Generator) -> int:
    """Microseconds drawn from ``hours`` (least, most), never more than the scene has."""
    return max(1, min(int(rng.uniform(hours[0], hours[1]) * HOUR), scene.end - scene.start))


def slot(scene: Scene, hours: Sequence[float], rng: np.random.Generator) -> tuple[int, int]:
    """A stretch of the scene, ``hours`` (least, most) long, as (start, end) in microseconds."""
    length = duration(scene, hours, rng)
    start = int(rng.integers(scene.start, scene.end - length + 1))
    return start, start + length


def busy_slot(scene: Scene, hours: Sequence[float], rng: np.random.Generator) -> tuple[int, int]:
    """Like ``slot``, but it begins with an event of the targets where the scene has one early enough.

    For attacks that change what is sent: they need something to change.
    """
    length = duration(scene, hours, rng)
    times = scene.events["timestamp"].to_numpy(dtype=np.int64)
    first, stop = np.searchsorted(times, [scene.start, scene.end - length + 1])
    if stop <= first:
        start = int(rng.integers(scene.start, scene.end - length + 1))
    else:
        start = int(times[rng.integers(first, stop)])
    return start, start + length
