"""The service as one sequence: all events under one name, and the incidents that hit most of who was there."""

from __future__ import annotations

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from conftest import START_US, Tables, traffic
from seqdetect.events import MICROSECONDS, SCHEMA
from seqdetect.prepare import prepare
from seqdetect.sequence.split import Split
from seqdetect.service import SERVICE, as_one, as_service, service_wide

HOUR = 3600 * MICROSECONDS
EVENTS = traffic(users=6, hours=8, rate_s=0.02)


def labels(*rows: tuple[str, str, float, float]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["incident_id", "user_id", "start", "end"])
    for name in ("start", "end"):
        frame[name] = (START_US + frame[name] * HOUR).astype("int64")
    return frame.assign(kind="degradation", strength="strong")


def hit(name: str, users: int, start: float = 5.0, end: float = 6.0) -> list[tuple[str, str, float, float]]:
    return [(name, f"user-{user}", start + user / 100, end - user / 100) for user in range(users)]


def test_all_events_are_one_users_and_nothing_else_changes() -> None:
    one = as_one(EVENTS)
    assert one.schema == EVENTS.schema
    assert one.column("user_id").unique().to_pylist() == [SERVICE]
    assert one.drop_columns("user_id") == EVENTS.drop_columns("user_id")
    assert as_one(SCHEMA.empty_table()).num_rows == 0


def test_an_incident_of_most_users_present_is_one_row_from_first_to_last() -> None:
    (row,) = service_wide(EVENTS, labels(*hit("wide", 5), *hit("narrow", 2))).to_dict("records")
    assert (row["incident_id"], row["user_id"], row["kind"], row["strength"]) == (
        "wide",
        SERVICE,
        "degradation",
        "strong",
    )
    assert (row["start"], row["end"]) == (START_US + 5 * HOUR, START_US + 6 * HOUR)


def test_who_was_not_there_does_not_count() -> None:
    few = EVENTS.filter(pc.is_in(EVENTS.column("user_id").cast(pa.string()), pa.array(["user-0", "user-1", "user-2", "user-3"])))  # fmt: skip
    incidents = labels(*hit("three of four", 3))
    assert len(service_wide(few, incidents)) == 1
    six = labels(*hit("three of six", 3, 1.0, 7.0))
    assert len(service_wide(EVENTS, six)) == 1
    assert len(service_wide(traffic(users=8, hours=8, rate_s=0.02), six)) == 0


def test_what_two_users_share_is_theirs_and_what_names_the_service_is_its_own() -> None:
    two = EVENTS.filter(pc.is_in(EVENTS.column("user_id").cast(pa.string()), pa.array(["user-0", "user-1"])))  # fmt: skip
    found = service_wide(two, labels(*hit("both", 2), ("ours", SERVICE, 2.0, 3.0)))
    assert found["incident_id"].tolist() == ["ours"]


def test_no_incidents_stay_none_and_columns_stay_in_order() -> None:
    assert as_service(EVENTS, None)[1] is None
    incidents = labels(*hit("late", 5, 6.0, 7.0), *hit("early", 5, 2.0, 3.0))
    found = service_wide(EVENTS, incidents)
    assert found.columns.tolist() == incidents.columns.tolist()
    assert found["incident_id"].tolist() == ["early", "late"]
    assert service_wide(EVENTS, incidents[:0]).empty


class Labelled(Tables):
    def incidents(self) -> pd.DataFrame:  # type: ignore[override]
        return labels(*hit("wide", 5), *hit("narrow", 1, 1.0, 2.0))


def test_prepared_data_are_of_one_user_and_say_so() -> None:
    data = prepare(Labelled(EVENTS), Split(), key=SERVICE)
    assert (data.key, data.keys.names) == (SERVICE, [SERVICE])
    assert data.incidents is not None
    assert data.incidents["incident_id"].tolist() == ["wide"]
    assert not data.clean.all()
    assert len(data.history.steps) < len(prepare(Labelled(EVENTS), Split()).history.steps)


def test_another_key_is_refused() -> None:
    with pytest.raises(ValueError, match="key is 'model'"):
        prepare(Labelled(EVENTS), Split(), key="model")
