"""What a detector is shown: labels and copies of the past, and nothing of the time that is tested."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from conftest import START_US, Tables, traffic
from seqdetect.attack.benign_batch_job import BenignBatchJob
from seqdetect.attack.flood import Flood
from seqdetect.attack.inject import Injector
from seqdetect.attack.wallet import Wallet
from seqdetect.detector import Examples
from seqdetect.events import MICROSECONDS
from seqdetect.exposure import Exposure
from seqdetect.incidents import is_benign
from seqdetect.prepare import Data, prepare
from seqdetect.sequence.features import INDEX
from seqdetect.sequence.split import Split

HOUR_US = 3600 * MICROSECONDS
INJECTOR = Injector(
    {"flood": Flood(), "wallet": Wallet(), "benign_batch_job": BenignBatchJob()},
    per_user_day=6.0,
    service_per_day=0.0,
)
COPIED = Exposure(INJECTOR, copies=2)
ALONE = Exposure(copies=0)
SPLIT = Split(calibration_share=0.3)


class Labelled(Tables):
    """Two floods, two users of one theft, a batch job, and an incident of the time that is tested."""

    def incidents(self) -> pd.DataFrame:
        rows = [
            ("one", "user-1", 12.0, 13.5, "flood"),
            ("two", "user-2", 20.0, 21.0, "flood"),
            ("both", "user-0", 22.0, 23.0, "takeover"),
            ("both", "user-3", 22.0, 23.0, "takeover"),
            ("job", "user-1", 16.0, 17.0, "benign_batch_job"),
            ("later", "user-4", 30.0, 31.0, "scrape"),
        ]
        frame = pd.DataFrame(rows, columns=["incident_id", "user_id", "start", "end", "kind"])
        for column in ("start", "end"):
            frame[column] = (START_US + frame[column] * HOUR_US).astype("int64")
        return frame


def features(data: Data) -> NDArray[np.float32]:
    """The rows of a detector that reads features as they are."""
    return data.features


def shown(exposure: Exposure, data: Data, seed: int = 0) -> Examples:
    return exposure.examples(data, features, seed)


def assert_same(one: Examples, other: Examples) -> None:
    for name in ("values", "bag", "kind", "user", "weight"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), name)


@pytest.fixture(scope="module")
def table() -> pa.Table:
    return traffic(users=5, hours=36.0, rate_s=0.012)


@pytest.fixture(scope="module")
def data(table: pa.Table) -> Data:
    return prepare(Labelled(table), SPLIT)


@pytest.fixture(scope="module")
def clean(table: pa.Table) -> Data:
    return prepare(Tables(table), SPLIT)


@pytest.fixture(scope="module")
def copied(data: Data) -> Examples:
    return shown(COPIED, data)


@pytest.fixture(scope="module")
def alone(data: Data) -> Examples:
    return shown(ALONE, data)


def test_labelled_incidents_of_the_past_are_bags(alone: Examples, data: Data) -> None:
    attacks = alone.take(alone.attack)
    names = [data.keys.names[user] for user in attacks.user]
    assert sorted(zip(names, attacks.kind, strict=True)) == [
        ("user-0", "takeover"),
        ("user-1", "flood"),
        ("user-2", "flood"),
        ("user-3", "takeover"),
    ]
    weight = dict(zip(names, attacks.weight, strict=True))
    assert weight["user-1"] == 1.0
    np.testing.assert_allclose(
        weight["user-0"], 0.5**0.5, err_msg="two rows of one incident share its weight"
    )


def test_their_steps_are_the_incident_s_own(alone: Examples, data: Data) -> None:
    steps, known = data.history.steps, data.incidents
    assert known is not None
    row = known[known.incident_id == "one"].iloc[0]
    mine = (steps.user == data.keys.names.index("user-1")) & (steps.tick > row.start)
    during = data.features[mine & (steps.tick <= row.end + 10 * MICROSECONDS)]
    flood = np.flatnonzero((alone.kind == "flood") & (alone.user == data.keys.names.index("user-1")))
    values = alone.values[alone.bag == flood[0]]
    assert len(values) == min(len(during), ALONE.attack_steps)
    assert {one.tobytes() for one in values} <= {one.tobytes() for one in during}


def test_every_bag_has_steps_and_none_too_many(copied: Examples) -> None:
    size = np.bincount(copied.bag, minlength=len(copied.kind))
    assert size.min() >= 1
    assert size[copied.attack].max() <= COPIED.attack_steps
    assert size[~copied.attack].max() <= COPIED.clean_steps


def test_fewer_steps_are_kept_where_fewer_are_wanted(data: Data, alone: Examples) -> None:
    few = shown(replace(ALONE, attack_steps=3, clean_steps=5), data)
    size = np.bincount(few.bag)
    assert size[few.attack].tolist() == [3] * 4
    assert size[~few.attack].max() == 5
    np.testing.assert_array_equal(few.kind, alone.kind)


def test_clean_bags_are_hours_of_one_user(alone: Examples) -> None:
    second = alone.values[:, INDEX["second_of_day"]]
    hour = second // 3600.0
    for number in np.flatnonzero(~alone.attack):
        assert len(np.unique(hour[alone.bag == number])) == 1
    assert (alone.weight[~alone.attack] == ALONE.clean_weight).all()


def test_copies_add_incidents_and_a_share_of_clean_hours(copied: Examples, alone: Examples) -> None:
    assert set(copied.kind[copied.attack]) == {"flood", "wallet", "takeover"}
    assert copied.attack.sum() > 3 * alone.attack.sum()
    added = copied.weight[~copied.attack] == 1.0
    assert 0 < added.sum() < (~alone.attack).sum()
    np.testing.assert_array_equal(copied.values[: len(alone.values)], alone.values)


def test_benign_hours_of_copies_are_clean_and_all_kept(clean: Data) -> None:
    busy = Injector({"benign_batch_job": BenignBatchJob()}, per_user_day=6.0, service_per_day=0.0)
    only = shown(Exposure(busy, copies=1, copied_share=0.0), clean)
    original = shown(ALONE, clean)
    assert not only.attack.any()
    assert len(only.kind) > len(original.kind)


def test_the_test_span_is_never_looked_at(data: Data, table: pa.Table, copied: Examples) -> None:
    times = table.column("timestamp").cast(pa.int64()).to_numpy()
    later = times >= data.spans.calibration_end
    tokens = table.column("prompt_tokens").to_numpy()
    other = table.set_column(2, "prompt_tokens", pa.array(np.where(later, 50 * tokens + 7, tokens)))
    assert later.sum() > 100
    changed = prepare(Labelled(other), SPLIT)
    assert not np.array_equal(changed.features, data.features)
    assert_same(shown(COPIED, changed), copied)


def test_seeds(data: Data, copied: Examples) -> None:
    assert_same(shown(COPIED, data), copied)
    other = shown(COPIED, data, seed=1)
    assert len(other.values) != len(copied.values) or not np.array_equal(other.values, copied.values)


def test_kinds_can_be_kept_from_it(data: Data, copied: Examples) -> None:
    without = shown(replace(COPIED, without=("flood", "takeover")), data)
    assert set(without.kind[without.attack]) == {"wallet"}
    assert (without.kind == "wallet").sum() == (copied.kind == "wallet").sum()
    assert (~without.attack).sum() == (~copied.attack).sum(), "their time is not taken for clean"


def test_without_labels_or_attacks_there_is_nothing_but_clean_time(clean: Data) -> None:
    found = shown(ALONE, clean)
    assert not found.attack.any()
    assert len(found.kind) > 0
    assert_same(shown(Exposure(Injector({}), copies=3), clean), found)


def test_users_are_those_of_the_original_key_table(data: Data) -> None:
    """Users differ in the length of their prompts, which tells whose hours those are, copies included."""
    found = shown(
        Exposure(Injector({"flood": Flood()}, service_per_day=0.0), copies=1, copied_share=1.0), data
    )
    clean = ~found.attack[found.bag]
    lengths = pd.Series(found.values[clean, INDEX["prompt_mean"]]).groupby(found.user[found.bag][clean])
    own = pd.Series(data.features[data.clean, INDEX["prompt_mean"]])
    wanted = own.groupby(data.history.steps.user[data.clean]).mean()
    np.testing.assert_allclose(lengths.mean(), wanted, atol=0.15)
    assert len(lengths) == len(data.keys)


def test_warm_up_teaches_nothing(alone: Examples, data: Data) -> None:
    start, end = data.spans.train
    began = start + (end - start) // 4
    steps = data.history.steps
    before = {one.tobytes() for one in data.features[steps.tick <= began]}
    after = {one.tobytes() for one in data.features[steps.tick > began]}
    assert not {one.tobytes() for one in alone.values} & (before - after)


def test_a_copy_is_filled_as_the_original_is(data: Data) -> None:
    """Neutral values rest on the original's training span, whatever the attacks of a copy are."""
    seen: list[Data] = []

    def rows(some: Data) -> NDArray[np.float32]:
        seen.append(some)
        return some.features

    COPIED.examples(data, rows, 0)
    assert len(seen) == 1 + COPIED.copies
    for copy in seen:
        for mine, original in zip(copy.inputs, data.inputs, strict=True):
            np.testing.assert_array_equal(mine, original)
        assert int(copy.history.steps.tick.max()) <= data.spans.calibration_end
    known = seen[1].incidents
    assert known is not None
    assert not is_benign(known.kind).all()
    assert known.incident_id.str.startswith("copy-0-").sum() > 0
