"""A wrapped detector: compression, what the prior is learnt from, parity, and the yamls that compose it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from numpy.typing import NDArray

from conftest import Tables
from detector.stepping import as_rows, walk
from seqdetect import experiment
from seqdetect.detector import Rows
from seqdetect.detector.adapted import (
    LEAST_WIDTH,
    Adapted,
    averaged,
    compressed,
    gentle_tail,
    sequences,
    some_users,
    write_compressed,
)
from seqdetect.detector.ewma import Ewma
from seqdetect.detector.graph import Graph
from seqdetect.detector.static_threshold import StaticThreshold
from seqdetect.prepare import prepare
from seqdetect.sequence.split import Split

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
WRAPPED = sorted(path.stem for path in (CONFIGS / "detector").glob("*_adapted.yaml"))


def saturating(n: int) -> NDArray[np.float64]:
    """Scores of which every fiftieth lies within a ten-thousandth of the greatest possible."""
    rng = np.random.default_rng(0)
    raw = rng.normal(0.0, 1.0, n)
    raw[::50] = 4.0 - 1e-4 * rng.random(len(raw[::50]))
    return raw.astype(np.float32).astype(np.float64)


def test_the_graph_compresses_as_numpy_does_and_keeps_the_order() -> None:
    raw = np.sort(np.append(np.random.default_rng(0).pareto(1.0, 30_000), [1e5, 1e7])).astype(np.float32)
    tail = gentle_tail(raw[:-2].astype(np.float64))
    g = Graph(1, 1)
    found = walk(g, raw[None, :, None], out=(write_compressed(g.features, tail), 1))["out"][0, :, 0]
    wanted = compressed(raw.astype(np.float64), tail)
    np.testing.assert_allclose(found, wanted, rtol=2e-6, atol=2e-6)
    assert (np.diff(wanted) >= 0).all()
    assert wanted[-2] < wanted[-1] < 20.0


def test_a_score_that_saturates_is_not_torn_apart() -> None:
    raw = saturating(40_000)
    tail = gentle_tail(raw)
    least = LEAST_WIDTH * np.subtract(*np.percentile(raw, [75, 25]))
    assert np.diff(tail.knot).min() >= least
    assert tail.slope <= 1.0 / least
    change = np.abs(compressed(raw + 1e-6, tail) - compressed(raw, tail)).max()
    assert change < 1e-4


def test_the_prior_is_learnt_from_whole_users_with_usable_rows() -> None:
    rows = as_rows(np.zeros((700, 1), np.float32))
    rows.usable[rows.user == 3] = False
    some = some_users(rows, 250, 0)
    _, counts = np.unique(some.user, return_counts=True)
    assert sorted(counts) == [50, 100, 100]
    assert 3 not in some.user
    assert (np.diff(some.tick) > 0).all()
    assert not np.array_equal(np.unique(some_users(rows, 250, 1).user), np.unique(some.user))


def test_sequences_are_the_users_steps_and_their_gaps() -> None:
    day = 86_400_000_000
    rows = Rows(
        np.zeros((5, 1), np.float32),
        np.array([2, 0, 2, 2, 0], np.int32),
        np.array([0, 10_000_000, 30_000_000, 20 * day, 20 * day]),
        np.ones(5, bool),
    )
    found = {int(rows.user[mine[0]]): (mine.tolist(), elapsed.tolist()) for mine, elapsed in sequences(rows)}
    assert found == {0: ([1, 4], [0.0, 604_800.0]), 2: ([0, 2, 3], [0.0, 30.0, 604_800.0])}


def test_an_average_of_nothing_but_the_usual_is_the_usual() -> None:
    elapsed = np.append(0.0, np.full(499, 10.0))
    np.testing.assert_allclose(averaged(np.full(500, 0.6), elapsed, 0.6, 900.0), 0.6)
    high = averaged(np.full(500, 2.0), elapsed, 0.5, 900.0)
    assert (np.diff(high) > 0).all()
    assert 0.5 < high[0] < 0.7 < 1.8 < high[-1] < 2.0


@pytest.mark.parametrize("inner", [Ewma, StaticThreshold])
def test_a_heavy_tailed_detector_with_a_state_of_its_own_exports(
    inner: type[Ewma] | type[StaticThreshold], events: pa.Table, tmp_path: Path
) -> None:
    data = prepare(Tables(events), Split())
    detector = Adapted(inner())
    trained = experiment.fit("adapted", detector, data, 0, experiment.BUDGETS)
    assert trained.parity is not None
    experiment.write_bundle(trained, data, tmp_path / "b.onnx", 10.0, {})
    clean = trained.raw[: len(data.usable)][data.usable]
    assert abs(np.mean(clean)) < 1.0
    assert 0.3 < np.std(clean) < 3.0


def test_it_is_research_only_where_the_inner_one_is() -> None:
    assert Adapted(Ewma()).research_only is None
    assert Adapted(Ewma(research_only="no graph of its own")).research_only == "no graph of its own"


@pytest.mark.parametrize("name", WRAPPED)
def test_a_yaml_wraps_the_detector_as_its_own_yaml_has_it(name: str) -> None:
    plain = name.removesuffix("_adapted")
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = compose("train", overrides=[f"detector={name}", "detector.tau_s=600"]).detector
        alone = compose("train", overrides=[f"detector={plain}"]).detector
    assert config.inner == alone
    built, inner = instantiate(config, _convert_="all"), instantiate(alone, _convert_="all")
    assert isinstance(built, Adapted)
    assert built.tau_s == 600
    assert type(built.inner) is type(inner)


def test_the_usual_peers_are_there() -> None:
    peers = "ocsvm iforest lof knn hbos autoencoder static_threshold ewma"
    assert {f"{peer}_adapted" for peer in peers.split()} <= set(WRAPPED)
