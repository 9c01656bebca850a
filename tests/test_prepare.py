"""What is said about data that nothing can be learned from, and about labels that do not fit."""

from __future__ import annotations

import logging

import pandas as pd
import pyarrow as pa
import pytest

from conftest import START_US, Tables, traffic
from seqdetect.events import MICROSECONDS
from seqdetect.prepare import Data, prepare
from seqdetect.sequence.split import Split

HOUR = 3600 * MICROSECONDS
EVENTS = traffic(users=2, hours=8, rate_s=0.02)


class Labelled(Tables):
    key = "client_ip"

    def __init__(self, table: pa.Table, *rows: tuple[str, int, int]) -> None:
        super().__init__(table)
        self.rows = rows

    def incidents(self) -> pd.DataFrame:
        names = ["user_id", "start", "end"]
        frame = pd.DataFrame(list(self.rows), columns=names)
        return frame.assign(incident_id=[str(i) for i in range(len(frame))], kind="flood")


def prepared(*hours: tuple[str, float, float]) -> Data:
    rows = [(user, int(START_US + a * HOUR), int(START_US + b * HOUR)) for user, a, b in hours]
    return prepare(Labelled(EVENTS, *rows), Split())


def everybody(start: float, end: float) -> list[tuple[str, float, float]]:
    return [(f"user-{user}", start, end) for user in range(2)]


def test_training_time_without_a_clean_step_is_named():
    with pytest.raises(ValueError, match=r"no step before split\.train_end is clean"):
        _ = prepared(*everybody(-1, 4.5)).usable


def test_calibration_time_without_a_clean_step_is_named():
    data = prepared(*everybody(3.4, 6.5))
    assert data.usable.any()
    with pytest.raises(ValueError, match="the calibration span holds 0 clean steps"):
        _ = data.calibrating


def test_cold_steps_are_trained_on_where_no_clean_one_is_warm():
    assert prepared(*everybody(0.9, 4.5)).usable.any()


def test_labels_of_nobody_and_of_another_time_are_named(caplog):
    with caplog.at_level(logging.WARNING):
        prepared(("user-1", 5, 6), ("usr-1", 5, 6), ("user-1", 500, 600))
    assert "1 incident rows name users without an event, for example 'usr-1'" in caplog.text
    assert "1 incident rows lie before the first or after the last event" in caplog.text


def test_the_sources_key_is_the_bundles():
    assert prepared().key == "client_ip"
    assert prepare(Tables(EVENTS), Split()).key == "user_id"
