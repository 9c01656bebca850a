"""Train, calibration and test: consecutive stretches of time that no step crosses."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from seqdetect.events import MICROSECONDS, iso


@dataclass(frozen=True)
class Spans:
    """Boundaries in microseconds, multiples of the tick. A span's steps are those whose tick ends in (start, end]."""

    start: int
    train_end: int
    calibration_end: int
    end: int

    @property
    def train(self) -> tuple[int, int]:
        return self.start, self.train_end

    @property
    def calibration(self) -> tuple[int, int]:
        return self.train_end, self.calibration_end

    @property
    def test(self) -> tuple[int, int]:
        return self.calibration_end, self.end

    def iso(self) -> dict[str, list[str]]:
        """The three spans as ISO-8601 text, for people."""
        named = {"train": self.train, "calibration": self.calibration, "test": self.test}
        return {name: [iso(start), iso(end)] for name, (start, end) in named.items()}


def measured(span: tuple[int, int]) -> tuple[int, int]:
    """The half-open interval of tick ends that belong to ``span``: a tick that ends on the boundary came before it."""
    return span[0] + 1, span[1] + 1


@dataclass(frozen=True)
class Split:
    """Where the spans end: a time (ISO-8601, naive ones are UTC, or epoch seconds), or else a share of the whole."""

    train_end: str | float | None = None
    calibration_end: str | float | None = None
    train_share: float = 0.5
    calibration_share: float = 0.25

    def spans(self, first: int, last: int, tick: int) -> Spans:
        """The spans of events from ``first`` to ``last`` (microseconds); ``ValueError`` when one would be empty."""
        start, end = first // tick * tick, (last // tick + 1) * tick
        shares = (self.train_share, self.train_share + self.calibration_share)
        inner = [
            (end_of(stated) if stated is not None else round(start + share * (end - start))) // tick * tick
            for stated, share in zip((self.train_end, self.calibration_end), shares, strict=True)
        ]
        if not start < inner[0] < inner[1] < end:
            raise ValueError(
                f"the spans are not in order: events from {iso(start)} to {iso(end)}, split.train_end at "
                f"{iso(inner[0])}, split.calibration_end at {iso(inner[1])}; each must lie inside and after the other"
            )
        return Spans(start, inner[0], inner[1], end)


def end_of(value: str | float) -> int:
    """A configured time in microseconds."""
    try:
        return round(float(value) * MICROSECONDS)
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        raise ValueError(f"{value!r} is neither an ISO-8601 time nor epoch seconds") from None
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    return round(moment.timestamp() * MICROSECONDS)
