"""A time means the same whatever stands beside it in its block."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from seqdetect.source.parse.cells import tokens
from seqdetect.source.parse.times import LATEST, Clock

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
STAMP = st.integers(0, LATEST - 86_400_000_000).map(lambda us: EPOCH + timedelta(microseconds=us))
ZONE = st.integers(-14 * 4, 14 * 4).map(lambda quarters: timezone(timedelta(minutes=15 * quarters)))
ODD_NUMBERS = [
    "",
    "x",
    "0x10",
    "nan",
    "1e400",
    "-1",
    "+5",
    " 7 ",
    "1_0",
    "12.0",
    "1e3",
    "١",
    "9" * 30,
    "5.",
    ".5",
]
ODD_EPOCHS = ["1700000000", "1700000000123456789", "1700000000.5", "1700000000123.75", "9007199254740993"]
ODD_ENDS = [
    "",
    ":00",
    ":00Z",
    ":00:00 UTC",
    ":00:00.1",
    ":00:00.12",
    ":00:00.1234",
    ":00:00.123456789",
    ":00:00+0530",
]
ODD_ENDS += [":00:00-05", ":00:00+99:00", ":00:60", ":61"]
ODD_DATES = [
    "2026-02-30",
    "20260101T100000",
    "2026-01-01T24:00:00",
    "2300-01-01",
    "1969-12-31",
    "2026-03-29T02:30:00",
]
ODD = st.sampled_from([*ODD_NUMBERS, *ODD_EPOCHS, *ODD_DATES, *(f"2026-01-01T10{end}" for end in ODD_ENDS)])


@settings(max_examples=200, deadline=None)
@given(stamp=STAMP, zone=ZONE, separator=st.sampled_from("T "))
def test_iso_times_are_exact_to_the_microsecond(stamp: datetime, zone: timezone, separator: str) -> None:
    expected = (stamp - EPOCH) // timedelta(microseconds=1)
    assert Clock().parse(stamp.astimezone(zone).isoformat(separator)) == expected
    assert Clock().parse(stamp.replace(tzinfo=None).isoformat(separator)) == expected


@settings(max_examples=300, deadline=None)
@given(cells=st.lists(ODD, min_size=1, max_size=6), zone=st.sampled_from(["UTC", "Europe/Berlin"]))
@example(cells=["1700000000123456789", "1700000000.5"], zone="UTC")
@example(cells=["2026-01-01T10:00:00.1234", "2026-01-01T10"], zone="UTC")
def test_neighbours_do_not_matter(cells: list[str], zone: str) -> None:
    clock = Clock(timezone=zone)
    micros, good = clock.read(pa.array(cells))
    alone = [clock.read(pa.array([cell])) for cell in cells]
    # More than twice what is read one by one, so that the block is halved and pieces meet other neighbours.
    padded = clock.read(pa.array(cells + ["1700000000"] * 600))
    for index in range(len(cells)):
        assert good[index] == alone[index][1][0] == padded[1][index]
        if good[index]:
            assert micros[index] == alone[index][0][0] == padded[0][index]


@settings(max_examples=200, deadline=None)
@given(cells=st.lists(ODD, min_size=1, max_size=6))
def test_neighbours_do_not_matter_to_tokens(cells: list[str]) -> None:
    counts, faults = tokens(pa.array(cells))
    for index, cell in enumerate(cells):
        one, fault = tokens(pa.array([cell]))
        assert (counts[index], faults[index]) == (one[0], fault[0])


def test_arrow_times_of_every_unit_and_zone() -> None:
    for unit, count in (("s", 60), ("ms", 60_000), ("us", 60_000_000), ("ns", 60_000_000_000)):
        for zone in (None, "UTC", "Europe/Berlin"):
            micros, good = Clock().read(pa.array([count, None], pa.timestamp(unit, zone)))
            assert (micros[0], good.tolist()) == (60_000_000, [True, False])
    assert Clock("Europe/Berlin").read(pa.array([3600], pa.timestamp("s")))[0].tolist() == [0]
    assert Clock().read(pa.array([1], pa.date32()))[0].tolist() == [86_400_000_000]
    assert not Clock().read(pa.array([2**62], pa.timestamp("s")))[1].any()
    assert not Clock().read(pa.array([[1]]))[1].any()


def test_what_is_no_time_is_refused() -> None:
    with pytest.raises(ValueError, match="not a time"):
        Clock().parse("whenever")
