"""Timestamps in whatever spelling, to int64 microseconds since the Unix epoch, UTC."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from seqdetect.events import MICROSECONDS
from seqdetect.source.parse import Mask, Numbers
from seqdetect.source.parse.cells import DECIMAL, in_pieces, plain

Unit = Literal["auto", "s", "ms", "us", "ns"]

LATEST = int(datetime(2262, 1, 1, tzinfo=UTC).timestamp()) * MICROSECONDS
"""Nanoseconds in 64 bits, which other tools keep times in, end in April 2262; the earliest time is 1970."""

_PER_SECOND: dict[str, int] = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
# Seconds reach the first bound in the year 5138, milliseconds in 1973, and so on: no real time is ambiguous.
_MAGNITUDES = (("s", 0.0), ("ms", 1e11), ("us", 1e14), ("ns", 1e17))
_EXACT = 2**53
_ZONED = re.compile(r"[T ].*(Z|[+-]\d\d(:?\d\d)?)$")
_UTC_WORDS = re.compile(r"\s*(?:UTC|GMT|[zZ])$")


@dataclass(frozen=True)
class Clock:
    """How times without a zone, and times that are numbers, are meant.

    ``epoch`` is the microsecond that numbers count from (then in seconds, unless ``unit`` is set); without
    one they count from 1970, and the unit follows from each value's magnitude.
    """

    timezone: str = "UTC"
    unit: Unit = "auto"
    epoch: int | None = None

    def __post_init__(self) -> None:
        if self.unit not in ("auto", *_PER_SECOND):
            raise ValueError(f"timestamp_unit is {self.unit!r}; use auto, s, ms, us or ns")
        try:
            _localised(np.zeros(1, np.int64), self.timezone)
        except pa.ArrowInvalid as error:
            raise ValueError(f"timezone {self.timezone!r} is not known here: {error}") from error

    def read(self, cells: pa.Array) -> tuple[Numbers, Mask]:
        """Microseconds [rows], and which of them are times at all, within 1970 to 2262 [rows]."""
        cells = plain(cells)
        if pa.types.is_timestamp(cells.type) or pa.types.is_date(cells.type):
            micros, good = self._typed(cells)
        elif pa.types.is_integer(cells.type):
            micros, good = self._integers(cells)
        elif pa.types.is_floating(cells.type) or pa.types.is_decimal(cells.type):
            micros, good = self._floats(cells.cast(pa.float64(), safe=False))
        elif pa.types.is_string(cells.type):
            micros, good = self._texts(cells)
        else:
            return np.zeros(len(cells), np.int64), np.zeros(len(cells), bool)
        return micros, good & (micros >= 0) & (micros <= LATEST)

    def parse(self, text: str) -> int:
        """One time in microseconds. Raises ``ValueError`` when it is none."""
        micros, good = self.read(pa.array([text], pa.string()))
        if not good[0]:
            raise ValueError(f"{text!r} is not a time: write ISO-8601 or an epoch number, 1970 to 2262")
        return int(micros[0])

    def _typed(self, cells: pa.Array) -> tuple[Numbers, Mask]:
        zone = cells.type.tz if pa.types.is_timestamp(cells.type) else None
        unit = cells.type.unit if pa.types.is_timestamp(cells.type) else "s"
        stamps = cells.cast(pa.timestamp(unit)) if zone is None else cells
        counts = _filled(stamps.cast(pa.int64()))
        scale = MICROSECONDS // _PER_SECOND[unit] if unit != "ns" else 0
        fits = np.abs(counts) <= LATEST // max(scale, 1) if scale else np.ones(len(counts), bool)
        micros = np.where(fits, counts, 0) * scale if scale else counts // 1_000
        good = fits & _present(cells)
        return (micros if zone is not None else _localised(micros, self.timezone)), good

    def _integers(self, cells: pa.Array) -> tuple[Numbers, Mask]:
        present = _present(cells)
        if pa.types.is_uint64(cells.type):
            present &= _filled(pc.less_equal(cells, pa.scalar(2**63 - 1, pa.uint64())))
        counts = _filled(cells.cast(pa.int64(), safe=False))
        micros = np.zeros(len(counts), np.int64)
        good = np.zeros(len(counts), bool)
        for unit, rows in self._units(np.abs(counts.astype(np.float64))):
            scale = _PER_SECOND[unit]
            if scale > MICROSECONDS:
                converted, fits = counts // (scale // MICROSECONDS), np.ones(len(counts), bool)
            else:
                fits = np.abs(counts.astype(np.float64)) <= LATEST // (MICROSECONDS // scale)
                converted = np.where(fits, counts, 0) * (MICROSECONDS // scale)
            micros[rows], good[rows] = converted[rows], fits[rows]
        return micros + (self.epoch or 0), good & present

    def _floats(self, cells: pa.Array) -> tuple[Numbers, Mask]:
        counts = _filled(cells, np.nan)
        micros = np.zeros(len(counts), np.float64)
        for unit, rows in self._units(np.abs(counts)):
            scale = MICROSECONDS / _PER_SECOND[unit]
            micros[rows] = np.floor(counts[rows] / 1_000) if unit == "ns" else counts[rows] * scale
        good = np.isfinite(micros) & np.isfinite(counts) & (np.abs(micros) <= LATEST)
        return np.rint(np.where(good, micros, 0)).astype(np.int64) + (self.epoch or 0), good

    def _units(self, sizes: np.ndarray) -> list[tuple[str, Mask]]:
        if self.unit != "auto" or self.epoch is not None:
            return [("s" if self.unit == "auto" else self.unit, np.ones(len(sizes), bool))]
        upper = [low for _, low in _MAGNITUDES[1:]] + [np.inf]
        bounds = zip(_MAGNITUDES, upper, strict=True)
        found = [(unit, (sizes >= low) & (sizes < top)) for (unit, low), top in bounds]
        return [(unit, rows) for unit, rows in found if rows.any()]

    def _texts(self, cells: pa.Array) -> tuple[Numbers, Mask]:
        pieces = in_pieces(cells, self._fast, self._slow)
        micros, good, naive = (np.concatenate(part) for part in zip(*pieces, strict=True))
        if naive.any() and self.timezone != "UTC":
            micros[naive] = _localised(micros[naive], self.timezone)
        return micros, good

    def _fast(self, cells: pa.Array) -> tuple[Numbers, Mask, Mask]:
        """All cells in the spelling of the first one. Raises ``ArrowInvalid`` when they are not."""
        present = _present(cells)
        first = cells[int(present.argmax())].as_py() if present.any() else "0"
        if DECIMAL.fullmatch(first):
            return *self._numeric(cells), np.zeros(len(cells), bool)
        zoned = _ZONED.search(first) is not None
        nanos = _filled(cells.cast(pa.timestamp("ns", "UTC" if zoned else None)).cast(pa.int64()))
        return nanos // 1_000, present, np.full(len(cells), not zoned)

    def _numeric(self, cells: pa.Array) -> tuple[Numbers, Mask]:
        if pc.any(pc.match_substring(cells, "x", ignore_case=True)).as_py():
            raise pa.ArrowInvalid("Arrow reads 0x10 as an integer, and no timestamp is meant so")
        try:
            return self._integers(cells.cast(pa.int64()))
        except pa.ArrowInvalid:
            counts = cells.cast(pa.float64())
        if len(cells) > 1 and (pc.max(pc.abs(counts)).as_py() or 0) >= _EXACT:
            raise pa.ArrowInvalid("integers beyond 2**53 among fractions lose digits as floats")
        return self._floats(counts)

    def _slow(self, cells: pa.Array) -> tuple[Numbers, Mask, Mask]:
        read = [self._one(text) for text in cells.to_pylist()]
        micros = np.array([-1 if found is None else found[0] for found in read], np.int64)
        naive = np.array([found is not None and found[1] for found in read], bool)
        return micros, np.array([found is not None for found in read], bool), naive

    def _one(self, text: str | None) -> tuple[int, bool] | None:
        """(microseconds, whether they still lack a zone), or None when ``text`` is not a time."""
        text = (text or "").strip()
        if DECIMAL.fullmatch(text):
            micros, good = self._numeric(pa.array([text.removeprefix("+")], pa.string()))
            return (int(micros[0]), False) if good[0] else None
        try:
            stamp = datetime.fromisoformat(_UTC_WORDS.sub("+00:00", text))
            seconds = stamp.replace(tzinfo=stamp.tzinfo or UTC) - datetime(1970, 1, 1, tzinfo=UTC)
        except (ValueError, OverflowError):
            return None
        micros_exact = (seconds.days * 86_400 + seconds.seconds) * MICROSECONDS + seconds.microseconds
        return micros_exact, stamp.tzinfo is None


def _present(cells: pa.Array) -> Mask:
    present: Mask = cells.is_valid().to_numpy(zero_copy_only=False)
    return present.copy()


def _filled(cells: pa.Array, value: float = 0) -> np.ndarray:
    filled: np.ndarray = cells.fill_null(value).to_numpy(zero_copy_only=False)
    return filled


def _localised(wall: Numbers, timezone: str) -> Numbers:
    """UTC microseconds of wall-clock microseconds; of a repeated hour, the first one."""
    if timezone == "UTC":
        return wall
    stamps = pa.array(wall).cast(pa.timestamp("us"))
    zoned = pc.assume_timezone(stamps, timezone, ambiguous="earliest", nonexistent="earliest")
    micros: Numbers = zoned.cast(pa.int64()).to_numpy()
    return micros
