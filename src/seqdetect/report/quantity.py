"""Numbers as a reader wants them: few digits, a unit, an interval, and words where there is none."""

from __future__ import annotations

import math
from dataclasses import dataclass

MISSING = "—"
"""Stands where nothing was measured."""


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval; each may be unknown."""

    value: float | None = None
    low: float | None = None
    high: float | None = None

    @property
    def interval(self) -> str:
        """``[0.33–0.58]`` with the digits of the value, empty where no interval is known."""
        if self.value is None or self.low is None or self.high is None:
            return ""
        digits = decimals(self.value)
        return f"[{grouped(self.low, digits)}–{grouped(self.high, digits)}]"

    def __str__(self) -> str:
        return f"{number(self.value)} {self.interval}".strip()


def decimals(value: float) -> int:
    """Digits after the point: two of an everyday value, enough to see a small one, none of a large one."""
    size = abs(value)
    if size >= 10:
        return 0 if size >= 100 else 1
    return 2 if size >= 0.1 or size == 0 else min(6, max(3, -math.floor(math.log10(size))))


def grouped(value: float, digits: int) -> str:
    """``value`` with thousands set apart and ``digits`` after the point; never ``-0``."""
    text = f"{value:,.{digits}f}"
    return text.lstrip("-") if not text.strip("-0.,") else text


def number(value: float | None) -> str:
    """A plain number."""
    return MISSING if value is None else grouped(value, decimals(value))


def amount(value: float | None) -> str:
    """A count or a natural value: whole where it is large or whole already."""
    if value is None:
        return MISSING
    return grouped(value, 0 if abs(value) >= 20 or value == round(value) else 1 if abs(value) >= 1 else 2)


def percent(value: float | None) -> str:
    """A share of one as a percentage."""
    return MISSING if value is None else f"{grouped(100 * value, 0 if value >= 0.1 or value == 0 else 1)} %"


def duration(seconds: float | None) -> str:
    """Seconds in the two largest units that hold something: ``3 min 40 s``."""
    if seconds is None:
        return MISSING
    if seconds < 10:
        return f"{grouped(seconds, 0 if seconds == round(seconds) else 1)} s"
    rest = round(seconds)
    parts: list[tuple[int, str]] = []
    for name, size in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        whole, rest = divmod(rest, size)
        if whole or parts:
            parts.append((whole, name))
    return " ".join(f"{whole} {name}" for whole, name in parts[:2] if whole)


def storage(size_bytes: float | None) -> str:
    """Bytes, in kB or MB (powers of ten) where that reads better."""
    if size_bytes is None:
        return MISSING
    for unit, size in (("MB", 1e6), ("kB", 1e3)):
        if size_bytes >= size:
            return f"{grouped(size_bytes / size, 1)} {unit}"
    return f"{grouped(size_bytes, 0)} B"


def budget(per_user_week: float) -> str:
    """A false-alert budget in words: ``1 per user-week``, ``1 per user-day``."""
    daily = per_user_week / 7
    if per_user_week >= 7 and daily == round(daily):
        return f"{daily:g} per user-day"
    return f"{per_user_week:g} per user-week"


def listed(names: list[str], joint: str = "and") -> str:
    """``a, b and c``."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} {joint} {names[-1]}" if names else ""


def plural(count: int, noun: str) -> str:
    """``1 row``, ``2,300 rows``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
