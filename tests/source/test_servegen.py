"""ServeGen: clients as the tables describe them, within sampling error."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from seqdetect import events
from seqdetect.events import Tally
from seqdetect.source import Source
from seqdetect.source.servegen import ServeGen

FOLDER = Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "servegen"


@pytest.fixture(scope="module")
def folder() -> str:
    if not (FOLDER / "windows.parquet").exists():
        pytest.skip("ServeGen's tables are not at ../shared/data/servegen")
    return str(FOLDER)


def frame(folder: str, **arguments: object) -> pd.DataFrame:
    source = ServeGen(folder, **arguments)  # type: ignore[arg-type]
    return events.concat(source.read(Tally())).to_pandas()


@pytest.fixture(scope="module")
def sampled(folder: str) -> pd.DataFrame:
    return frame(folder, clients=15, days=2.0, seed=1)


def test_is_a_source(folder: str) -> None:
    source: Source = ServeGen(folder)
    assert source.licence == "Apache-2.0"
    assert "2505.09999" in source.reference
    assert source.incidents() is None


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"pool": "m-small"}, "m-small"),
        ({"pool": "deepseek-r1"}, "days=1"),
        ({"start_day": 12}, "start_day=12"),
        ({"max_rate": 0.0}, "max_rate"),
        ({"clients": 0}, "clients"),
    ],
)
def test_wrong_arguments_say_what_is_wrong(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ServeGen("anywhere", **wrong)  # type: ignore[arg-type]


def test_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"windows\.parquet"):
        next(ServeGen(str(tmp_path)).read(Tally()))


def test_only_what_the_source_has(folder: str) -> None:
    tally = Tally()
    batches = list(ServeGen(folder, clients=3, days=1.0).read(tally))
    names = ["timestamp", "user_id", "prompt_tokens", "completion_tokens", "model"]
    assert batches[0].column_names == names
    assert tally.read == sum(batch.num_rows for batch in batches)


def test_same_seed_same_events(folder: str) -> None:
    first, second, other = (frame(folder, clients=4, days=1.0, seed=seed) for seed in (2, 2, 3))
    pd.testing.assert_frame_equal(first, second)
    assert not first.equals(other)


def test_a_client_does_not_depend_on_the_others(folder: str) -> None:
    few, many = (frame(folder, clients=n, days=1.0) for n in (3, 6))
    name = str(few.user_id.iloc[0])
    assert set(few.user_id.astype(str)) < set(many.user_id.astype(str))
    kept = [made[made.user_id == name].timestamp.to_numpy() for made in (few, many)]
    np.testing.assert_array_equal(*kept)


def test_time_order_span_and_tokens(sampled: pd.DataFrame) -> None:
    start = pd.Timestamp("2025-01-06T00:00:00Z")
    assert sampled.timestamp.is_monotonic_increasing
    assert sampled.timestamp.min() >= start
    assert sampled.timestamp.max() < start + pd.Timedelta(days=2)
    assert (sampled.prompt_tokens >= 0).all()
    assert (sampled.completion_tokens >= 0).all()
    assert sampled.user_id.nunique() == 15
    assert sampled.user_id.astype(str).str.startswith("m-large/").all()


def test_clients_have_traffic_where_a_detector_trains_and_is_tested(folder: str) -> None:
    made = frame(folder, days=4.0, start_day=3, max_rate=0.02)
    day = (made.timestamp - pd.Timestamp("2025-01-06T00:00:00Z")).dt.days
    windows = pd.read_parquet(f"{folder}/windows.parquet").query("pool == 'm-large'")
    present = pd.crosstab(windows.client, windows.window_start_s // 86_400)
    chosen = sorted({int(name.split("/")[1]) for name in made.user_id.astype(str).unique()})
    assert (present.loc[chosen, [3, 4, 6]] > 0).all().all()
    assert day.max() == 3


def test_rates_agree_with_the_table(folder: str, sampled: pd.DataFrame) -> None:
    windows = pd.read_parquet(f"{folder}/windows.parquet").query(
        "pool == 'm-large' and window_start_s < 172800"
    )
    seconds = (sampled.timestamp - pd.Timestamp("2025-01-06T00:00:00Z")).dt.total_seconds()
    for name, times in seconds.groupby(sampled.user_id.astype(str)):
        client = windows[windows.client == int(name.split("/")[1])]
        thinning = min(1.0, 0.2 / client.rate.mean())
        expected = client.set_index("window_start_s").rate * 600 * thinning
        counts = (times // 600 * 600).value_counts().reindex(expected.index, fill_value=0)
        assert counts.sum() == len(times), "requests outside the client's windows"
        assert abs(counts.sum() - expected.sum()) < 5 * np.sqrt(expected.sum())
        # Poisson counts: the mean squared deviation in units of the expectation is 1, give or take.
        known = expected > 5
        ratio = ((counts - expected)[known] ** 2 / expected[known]).mean()
        assert abs(ratio - 1) < 6 * np.sqrt(2 / known.sum()) + 0.05


def test_lengths_agree_with_the_quantiles(folder: str, sampled: pd.DataFrame) -> None:
    laws = pd.read_parquet(f"{folder}/lengths.parquet").query("pool == 'm-large'")
    window = (sampled.timestamp - pd.Timestamp("2025-01-06T00:00:00Z")).dt.total_seconds() // 21_600 * 21_600
    columns = {"input_tokens": "prompt_tokens", "output_tokens": "completion_tokens"}
    checked = 0
    for (name, start), part in sampled.groupby([sampled.user_id.astype(str), window]):
        law = laws[(laws.client == int(name.split("/")[1])) & (laws.window_start_s == start)]
        for row in law.itertuples():
            made = np.sort(part[columns[row.field]].to_numpy())
            within = (made >= np.floor(row.q[0])) & (made <= np.ceil(row.q[-1]))
            assert within.all()
            for level in (50, 100, 150):
                error = 5 * np.sqrt(0.25 / made.size) + 0.01
                below, upto = (
                    np.searchsorted(made, row.q[level], side) / made.size for side in ("left", "right")
                )
                assert below - error <= level / 200 <= upto + error
            checked += 1
    assert checked > 50


def test_a_window_without_lengths_takes_the_nearest_earlier(folder: str) -> None:
    laws = pd.read_parquet(f"{folder}/lengths.parquet").query("pool == 'm-large' and field == 'input_tokens'")
    law = laws[laws.client == laws.client.iloc[0]].sort_values("window_start_s").iloc[[1, 3]]
    from seqdetect.source.servegen import _tokens

    rng = np.random.default_rng(0)
    first, second = (np.stack(law.q.to_list())[i] for i in (0, 1))
    early = _tokens(law, np.full(2000, int(law.window_start_s.iloc[0]) - 21_600), rng)
    between = _tokens(law, np.full(2000, int(law.window_start_s.iloc[0]) + 21_600), rng)
    after = _tokens(law, np.full(2000, int(law.window_start_s.iloc[1]) + 21_600), rng)
    for made, quantiles in ((early, first), (between, first), (after, second)):
        assert quantiles[0] <= made.min()
        assert made.max() <= quantiles[-1]
        assert abs((made <= quantiles[150]).mean() - 0.75) < 0.06


def test_the_one_day_pool(folder: str) -> None:
    made = frame(folder, pool="deepseek-r1", days=1.0, clients=5)
    assert made.user_id.nunique() == 5
    assert set(made.model) == {"deepseek-r1"}


def tables(folder: Path, traffic: dict[int, list[int]], with_lengths: list[int]) -> str:
    """ServeGen's two tables by hand: ``traffic`` are the days on which each client is there for an hour."""
    days = [(client, day) for client, there in traffic.items() for day in there]
    windows = [(client, day * 86_400 + part * 600) for client, day in days for part in range(6)]
    pd.DataFrame(windows, columns=["client", "window_start_s"]).assign(
        pool="m-large", rate=0.05, iat_p1=1.0, iat_dist="Gamma"
    ).to_parquet(folder / "windows.parquet")
    quantiles = np.linspace(10.0, 500.0, 201)
    laws = [
        (client, field, 0, quantiles)
        for client in with_lengths
        for field in ("input_tokens", "output_tokens")
    ]
    pd.DataFrame(laws, columns=["client", "field", "window_start_s", "q"]).assign(pool="m-large").to_parquet(
        folder / "lengths.parquet"
    )
    return str(folder)


def test_clients_that_come_and_go_qualify_unless_steady_ones_are_wanted(tmp_path: Path) -> None:
    traffic = {1: [0, 1, 2, 3], 2: [0, 1, 3], 3: [0, 1], 4: [2], 5: [0, 1, 2, 3], 6: [7]}
    made = tables(tmp_path, traffic, [1, 2, 3, 4, 6])
    steady, anybody = (frame(made, days=4.0, steady=steady) for steady in (True, False))
    assert set(steady.user_id.astype(str)) == {"m-large/1", "m-large/2"}
    assert set(anybody.user_id.astype(str)) == {"m-large/1", "m-large/2", "m-large/3", "m-large/4"}
    both = anybody[anybody.user_id.isin(steady.user_id)].reset_index(drop=True)
    assert both.timestamp.equals(steady.timestamp), "a client's requests are its own in either case"
    day = (anybody.timestamp - pd.Timestamp("2025-01-06T00:00:00Z")).dt.days
    assert set(day[anybody.user_id == "m-large/4"]) == {2}
    two = frame(made, days=4.0, steady=False, clients=2)
    assert set(two.user_id.astype(str)) < set(anybody.user_id.astype(str))
    assert two.user_id.nunique() == 2


def test_where_nobody_is_steady_it_says_on_which_days(tmp_path: Path) -> None:
    made = tables(tmp_path, {1: [0], 2: [3]}, [1, 2])
    with pytest.raises(ValueError, match=r"no client of m-large has traffic on days \[0, 1, 3\] from 0"):
        frame(made, days=4.0)
    assert frame(made, days=4.0, steady=False).user_id.nunique() == 2
