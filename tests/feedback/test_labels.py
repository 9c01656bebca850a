"""What verdicts become in training: incidents, time that must not alert, and nothing where they contradict."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from feedback_said import HOUR_US, said

from conftest import START_US, Tables, traffic
from seqdetect.detector import Examples
from seqdetect.exposure import Exposure
from seqdetect.feedback.guard import AUTHOR_SHARE, restrained
from seqdetect.feedback.labels import FEEDBACK, hard_negatives, with_verdicts
from seqdetect.feedback.settle import settled
from seqdetect.prepare import Data, prepare
from seqdetect.sequence.split import Split

SPLIT = Split(calibration_share=0.3)  # of 36 hours: training until 18, calibration until 28.8


@pytest.fixture(scope="module")
def table() -> pa.Table:
    return traffic(users=4, hours=36.0, rate_s=0.012)


@pytest.fixture(scope="module")
def data(table: pa.Table) -> Data:
    return prepare(Tables(table), SPLIT)


def labels(data: Data, *verdicts: object) -> pd.DataFrame:
    found = with_verdicts(data, list(verdicts)).incidents  # type: ignore[arg-type]
    assert found is not None
    return found.set_index("incident_id")


def test_kinds_follow_from_verdicts(data: Data) -> None:
    found = labels(
        data,
        said("true", "user-0", 12.0, 13.0),
        said("true", "user-0", 20.0, 21.0, corrected="takeover"),
        said("true", "user-1", 12.0, 13.0, kind="benign_campaign"),
        said("false", "user-2", 12.0, 13.0),
        said("benign", "user-2", 20.0, 21.0, corrected="benign_batch_job"),
    )
    assert found["kind"].to_dict() == {
        "verdict-user-0-12": "flood",
        "verdict-user-0-20": "takeover",
        "verdict-user-1-12": "unknown",
        "verdict-user-2-12": FEEDBACK,
        "verdict-user-2-20": "benign_batch_job",
    }
    row = found.loc["verdict-user-2-12"]
    assert (row["user_id"], row["end"] - row["start"], row["author"], row["alert_kind"]) == (
        "user-2",
        HOUR_US,
        "ana",
        "flood",
    )
    assert hard_negatives(found).tolist() == [kind.startswith("benign_") for kind in found["kind"]]


def test_a_confirmed_attack_is_no_clean_time_any_more(data: Data) -> None:
    one = with_verdicts(data, [said("true", "user-0", 12.0, 13.0)])
    lost = data.clean & ~one.clean
    assert lost.any()
    assert {data.keys.names[user] for user in data.history.steps.user[lost]} == {"user-0"}
    other = with_verdicts(data, [said("false", "user-0", 12.0, 13.0)])
    assert (other.clean == data.clean).all()


def test_others_do_not_take_back_a_confirmed_attack() -> None:
    confirmed = said("true", "user-0", 12.0, 13.0, author="ben")
    denied = said("false", "user-0", 12.0, 13.0, at="2026-03-09T00:00:00Z")
    assert [one.verdict for one in settled([confirmed, denied])] == ["true"]
    own = said("false", "user-0", 12.0, 13.0, author="ben", at="2026-03-08T00:00:00Z")
    assert [one.verdict for one in settled([confirmed, denied, own])] == ["false"]


def test_the_last_word_counts_where_nobody_saw_an_attack() -> None:
    first = said("benign", "user-0", 12.0, 13.0, author="ben")
    last = said("false", "user-0", 12.0, 13.0, at="2026-03-09T00:00:00Z")
    assert settled([last, first]) == [last]


def test_time_that_an_incident_touches_is_never_taught_as_harmless(data: Data) -> None:
    """Nor is the time just after it; the label that was there first stays the only one."""
    true, near = said("true", "user-0", 12.0, 13.0), said("false", "user-0", 13.2, 13.5)
    far = said("false", "user-0", 14.0, 14.5)
    assert set(labels(data, true, near, far).index) == {"verdict-user-0-12", "verdict-user-0-14"}
    begin = START_US + 12 * HOUR_US
    known = pd.DataFrame(
        {
            "incident_id": ["own"],
            "user_id": ["user-0"],
            "start": [begin],
            "end": [begin + HOUR_US],
            "kind": ["our own kind"],
        }
    )
    found = labels(replace(data, incidents=known), true, near, far)
    assert found["kind"].to_dict() == {"own": "our own kind", "verdict-user-0-14": FEEDBACK}
    assert not hard_negatives(found.loc[["own"]]).any()


def test_verdicts_on_others_teach_nothing(data: Data) -> None:
    everybody = said("false", "*", 12.0, 13.0)
    stranger = said("true", "nobody", 12.0, 13.0)
    other_key = said("true", "user-0", 12.0, 13.0, key="client_ip")
    assert with_verdicts(data, [everybody, stranger, other_key]).incidents is None
    assert with_verdicts(data, []).incidents is None


def bags(data: Data, *verdicts: object, **settings: float) -> Examples:
    return Exposure(copies=0, **settings).examples(  # type: ignore[arg-type]
        with_verdicts(data, list(verdicts)),  # type: ignore[arg-type]
        lambda some: some.features,
        0,
    )


def test_alerts_after_calibration_are_held_back(data: Data) -> None:
    plain = bags(data)
    held = bags(data, said("true", "user-0", 30.0, 31.0), said("false", "user-1", 30.0, 31.0))
    for name in ("values", "bag", "kind", "user", "weight"):
        np.testing.assert_array_equal(getattr(held, name), getattr(plain, name))
    assert len(labels(data, said("true", "user-0", 30.0, 31.0))) == 1, "but they are measured"


def test_the_hours_of_a_false_alert_are_clean_bags_that_weigh_more(data: Data) -> None:
    wanted = [said("true", f"user-{n}", 22.0, 23.0) for n in range(1, 4)]
    found = bags(data, said("false", "user-0", 11.9, 13.6), *wanted, verdict_weight=7.0, attack_share=1e3)
    heavy = np.flatnonzero(found.weight == 7.0)
    assert len(heavy) == 3, "one for each hour that it touches"
    assert set(found.kind[heavy]) == {""}
    assert {data.keys.names[user] for user in found.user[heavy]} == {"user-0"}
    steps = data.history.steps
    start = START_US + 11.9 * HOUR_US
    mine = (steps.user == data.keys.names.index("user-0")) & (steps.tick > start)
    during = data.features[mine & (steps.tick <= start + 1.7 * HOUR_US + 10_000_000)]
    values = found.values[np.isin(found.bag, heavy)]
    assert {one.tobytes() for one in values} <= {one.tobytes() for one in during}
    rest = found.values[~np.isin(found.bag, heavy)]
    assert not {one.tobytes() for one in during} & {one.tobytes() for one in rest}, "it is there once"


def test_no_author_outweighs_an_attack_class(data: Data) -> None:
    true = [said("true", f"user-{n}", 22.0, 23.0, kind="flood") for n in range(1, 4)]
    false = [said("false", "user-0", h + 0.5, h + 0.95, kind="flood", author="eve") for h in range(12, 28)]
    found = bags(data, *true, *false, verdict_weight=1e6)
    clean = found.weight[(found.kind == "")]
    ordinary, said_by_eve = clean[clean == 3.0].sum(), clean[clean != 3.0]
    assert len(said_by_eve) == len(false)
    assert (said_by_eve > 3.0).all(), "never less than had nobody said anything"
    np.testing.assert_allclose((said_by_eve - 3.0).sum(), AUTHOR_SHARE * 0.1 * ordinary)


def test_limits_by_kind_and_by_author() -> None:
    kind = np.array(["flood", "flood", "flood", "drip", "strange"], object)
    author = np.array(["eve", "eve", "ana", "eve", "eve"], object)
    weight = restrained(np.array([40.0, 40.0, 1.0, 2.0, 50.0]), kind, author, {"flood": 100.0, "drip": 20.0})
    np.testing.assert_allclose(weight, [25.0, 25.0, 1.0, 2.0, 10.0])
    both = restrained(
        np.full(4, 50.0), np.full(4, "flood", object), np.array(list("abcd"), object), {"flood": 100.0}
    )
    np.testing.assert_allclose(both.sum(), 100.0)
    assert restrained(np.array([5.0]), np.array(["flood"], object), np.array(["a"], object), {}).tolist() == [
        0.0
    ]
