"""What speaks for an incident: the columns are what their names say, and any input gives finite numbers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from conftest import START_US, traffic
from seqdetect.bundle.load import session
from seqdetect.detector.block.context import context
from seqdetect.detector.block.evidence import COLUMNS, SCALES, WIDTH, evidence
from seqdetect.detector.block.normal import Prior
from seqdetect.detector.compose import new_graph, values_graph
from seqdetect.events import MICROSECONDS, Tally, sort
from seqdetect.score.replay import replay
from seqdetect.score.stepper import Stepper
from seqdetect.sequence.stream import History, fill, history, neutral_values

HOUR_US = 3600 * MICROSECONDS
USERS, HOURS = 4, 10.0
BEGIN_US = START_US + 8 * HOUR_US
"""What is added begins here."""

Rows = Callable[[pa.Table], pd.DataFrame]


def stepper(prior: Prior) -> Stepper:
    graph = new_graph()
    model = graph.build(rows=(evidence(context(graph, prior)), WIDTH))
    return Stepper(session(model.SerializeToString()), graph.initial_row)


def filled(events: pa.Table) -> tuple[History, NDArray[np.float32]]:
    """The steps of ``events``, filled as usual traffic is whatever was added to it."""
    past, known = (history(table, 10.0, Tally())[0] for table in (events, traffic(USERS, HOURS)))
    return past, fill(past.steps.features, *neutral_values(known.steps.features))


@pytest.fixture(scope="module")
def usual() -> pa.Table:
    return traffic(USERS, HOURS)


@pytest.fixture(scope="module")
def prior(usual: pa.Table) -> Prior:
    past, features = filled(usual)
    model, graph = values_graph()
    values = replay(past, Stepper(session(model.SerializeToString()), graph.initial_row), features, "values")
    return Prior.of(values, past.steps.user)


@pytest.fixture(scope="module")
def rows(prior: Prior) -> Rows:
    """The evidence of user-0's steps by column ``(name, scale_s)``, indexed by the tick's end."""

    def made(events: pa.Table) -> pd.DataFrame:
        past, features = filled(events)
        found = replay(past, stepper(prior), features, "rows")
        mine = past.steps.user == user_row(events)
        names = pd.MultiIndex.from_tuples([tuple(column) for column in COLUMNS])
        return pd.DataFrame(found[mine], past.steps.tick[mine], names)

    return made


def user_row(events: pa.Table) -> int:
    """The row of user-0 in the key table."""
    return history(events, 10.0, Tally())[1].names.index("user-0")


def with_added(usual: pa.Table, time_us: NDArray[np.int64], keep: bool = True, **changed: int) -> pa.Table:
    """``usual`` with copies of a request of user-0 at ``time_us``; without its own since ``BEGIN_US`` if not ``keep``."""
    mine = usual.column("user_id").to_pandas().astype(str).to_numpy() == "user-0"
    own = keep | ~mine | (usual.column("timestamp").cast(pa.int64()).to_numpy() < BEGIN_US)
    like = usual.take(np.full(len(time_us), np.flatnonzero(mine)[0]))
    columns = {"timestamp": time_us} | {name: np.full(len(time_us), value) for name, value in changed.items()}
    for name, values in columns.items():
        field = usual.schema.field(name)
        like = like.set_column(usual.schema.get_field_index(name), field, pa.array(values).cast(field.type))
    return sort(pa.concat_tables([usual.filter(pa.array(own)), like]))


def test_columns_have_names_of_their_own_and_known_scales() -> None:
    assert len(COLUMNS) == WIDTH
    assert len(set(COLUMNS)) == WIDTH
    assert {column.scale_s for column in COLUMNS} == {0.0, *SCALES}


def test_the_graph_gives_a_value_per_column(usual: pa.Table, rows: Rows) -> None:
    found = rows(usual)
    assert found.shape[1] == WIDTH
    assert np.isfinite(found.to_numpy()).all()
    constant = {name for name, deviation in zip(COLUMNS, found.std(), strict=True) if deviation == 0.0}
    assert len(constant) < 0.05 * WIDTH, constant


def test_it_begins_with_the_deviations_from_the_usual(usual: pa.Table, prior: Prior, rows: Rows) -> None:
    past, features = filled(usual)
    graph = new_graph()
    seen = context(graph, prior)
    model = graph.build(z=(seen.z, -1))
    z = replay(past, Stepper(session(model.SerializeToString()), graph.initial_row), features, "z")
    found = rows(usual).to_numpy()
    np.testing.assert_array_equal(found[:, : z.shape[1]], z[past.steps.user == user_row(usual)])


def test_a_burst_raises_what_is_said_of_requests(usual: pa.Table, rows: Rows) -> None:
    time = BEGIN_US + np.arange(0, 600, 1) * MICROSECONDS
    quiet, burst = rows(usual), rows(with_added(usual, time.astype(np.int64)))
    end = int(time[-1] // (10 * MICROSECONDS) + 1) * 10 * MICROSECONDS
    before, after = quiet.loc[:BEGIN_US].iloc[-1], burst.loc[end]
    pd.testing.assert_frame_equal(quiet.loc[:BEGIN_US], burst.loc[:BEGIN_US])
    assert after["requests", 0.0] > before["requests", 0.0] + 2.0
    for name in ("requests_deviation", "requests_ratio", "requests_above_upper", "requests_sum"):
        for scale in SCALES[:3]:
            assert after[name, scale] > before[name, scale] + 1.0, (name, scale)
    for scale in SCALES[:3]:
        assert after["requests_to_usual_rate", scale] > 1.0
        assert after["steps", scale] > before["steps", scale]
    assert after["usual_rate", 0.0] < np.log(600 * 10.0), "not learned as if it were for good"


def test_a_metronome_lowers_the_spread_of_gaps(usual: pa.Table, rows: Rows) -> None:
    """Requests at the user's own mean gap deviate in nothing but that they never deviate."""
    own = (
        usual.to_pandas().query("user_id == 'user-0'").timestamp.astype("datetime64[us, UTC]").astype("int64")
    )
    gap = np.exp(np.log1p(np.diff(own) / 1e3).mean()) * 1e3
    time = (BEGIN_US + gap * np.arange(1, 7200 * MICROSECONDS / gap)).astype(np.int64)
    metronome = rows(with_added(usual, time, keep=False)).iloc[-1]
    quiet = rows(usual).loc[BEGIN_US:]
    for scale in SCALES[1:4]:
        assert metronome["gap_mean_spread", scale] < 0.7 * quiet["gap_mean_spread", scale].median(), scale


def test_larger_prompts_add_up_over_steps(usual: pa.Table, rows: Rows) -> None:
    """Each is no more than odd; together they are evidence, the longer scales' last."""
    time = (BEGIN_US + np.arange(1, 31) * 30 * MICROSECONDS).astype(np.int64)
    own = usual.to_pandas().query("user_id == 'user-0'").prompt_tokens
    found = rows(with_added(usual, time, keep=False, prompt_tokens=int(own.quantile(0.9))))
    sums = found.loc[BEGIN_US + MICROSECONDS :, "prompt_mean_sum"]
    for scale in SCALES[1:4]:
        assert sums[scale].iloc[-1] > 2.0 * sums[scale].iloc[0]
    assert (sums.iloc[-1] > found.loc[BEGIN_US + MICROSECONDS :, ("prompt_mean", 0.0)].max()).any()


def test_everybody_starts_from_nothing_and_moves(usual: pa.Table, rows: Rows) -> None:
    found = rows(usual)[[column for column in COLUMNS if column.name.startswith("everybody_")]].to_numpy()
    np.testing.assert_array_equal(found[0], 0.0)
    assert (np.abs(found[1:]).max(axis=0) > 0.0).sum() >= 4


def test_silence_is_the_logarithm_of_the_time_passed(usual: pa.Table, rows: Rows) -> None:
    found = rows(usual)
    passed = np.diff(found.index.to_numpy()) / 1e6
    np.testing.assert_allclose(found["silence", 0.0].to_numpy()[1:], np.log1p(passed), rtol=1e-5)


def test_extremes_give_finite_numbers(usual: pa.Table, rows: Rows) -> None:
    """A week of silence, then a thousand requests of a billion tokens in one step, then nothing but zeros."""
    week = START_US + 10 * 24 * HOUR_US
    huge = (week + np.arange(1_000) * 5_000).astype(np.int64)
    events = with_added(usual, huge, prompt_tokens=10**9, completion_tokens=10**9, latency_ms=10**9)
    later = (week + 60 * MICROSECONDS + np.arange(5) * 10 * MICROSECONDS).astype(np.int64)
    events = with_added(events, later, prompt_tokens=0, completion_tokens=0, latency_ms=0)
    found = rows(events).iloc[-6:].to_numpy()
    assert np.isfinite(found).all()
    assert np.abs(found).max() < 1e3


@pytest.mark.parametrize("sizes", [[1, 2, 5, 12, 20], [33, 7], [1] * 40])
def test_bits_do_not_depend_on_the_batch(usual: pa.Table, prior: Prior, sizes: list[int]) -> None:
    past, features = filled(usual)
    every = stepper(prior)
    for rows, population in past.each_tick()[:200]:
        every.step(past.steps.user[rows], features[rows], population)
    rng = np.random.default_rng(0)
    some = features[rng.choice(len(features), 40)]
    state = every.state[rng.choice(USERS, 40)]
    whole = every.run(some, past.population[200], state)
    begin = 0
    for size in sizes:
        part = slice(begin, begin + size)
        alone = every.run(some[part], past.population[200], state[part])
        for name, values in alone.items():
            np.testing.assert_array_equal(values, whole[name][part], name)
        begin += size
    assert begin == 40
