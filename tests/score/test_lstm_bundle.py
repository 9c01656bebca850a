"""A recurrent detector's scores owe nothing to batches either: not to how the input is cut, not to who came when."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import Tables, traffic
from seqdetect.bundle.load import Bundle, load
from seqdetect.events import Tally
from seqdetect.score.engine import Engine
from seqdetect.score.writer import table

pytestmark = pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec.*:FutureWarning")

LIVE = traffic(users=5, hours=3, seed=21, rate_s=0.05)


@pytest.fixture(scope="module")
def bundle(events: pa.Table, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    pytest.importorskip("lightning")
    from seqdetect import experiment
    from seqdetect.detector.lstm_autoencoder import LstmAutoencoder
    from seqdetect.prepare import prepare
    from seqdetect.sequence.split import Split

    data = prepare(Tables(events), Split())
    trainer = {"max_epochs": 2, "accelerator": "cpu"}
    detector = LstmAutoencoder(window=8, hidden=8, fit_windows=500, trainer=trainer)
    trained = experiment.fit("lstm_autoencoder", detector, data, 0, experiment.BUDGETS)
    path: Path = tmp_path_factory.mktemp("lstm") / "bundle.onnx"
    experiment.write_bundle(trained, data, path, 10.0, {"run_id": "test"})
    return load(path)


def run(bundle: Bundle, events: pa.Table, cuts: list[int]) -> pa.Table:
    engine = Engine(bundle, Tally())
    edges = [0, *sorted(cuts), events.num_rows]
    parts = [engine.push(events.slice(a, b - a)) for a, b in pairwise(edges)]
    whole = pa.concat_tables([table(part) for part in [*parts, engine.flush()]])
    return whole.sort_by([("timestamp", "ascending"), ("user_id", "ascending")])


@pytest.fixture(scope="module")
def whole(bundle: Bundle) -> pa.Table:
    return run(bundle, LIVE, [])


@settings(max_examples=8, deadline=None)
@given(cuts=st.lists(st.integers(0, LIVE.num_rows), max_size=20), seed=st.integers(0, 2**31))
def test_chunks_and_interleaving_do_not_matter(
    bundle: Bundle, whole: pa.Table, cuts: list[int], seed: int
) -> None:
    times = LIVE.column("timestamp").cast(pa.int64()).to_numpy()
    delay = np.random.default_rng(seed).uniform(0, 9.9e6, len(times))
    arrival = LIVE.take(pa.array(np.argsort(times + delay, kind="stable")))
    assert run(bundle, arrival, cuts).equals(whole)


def test_other_users_do_not_change_a_bit(bundle: Bundle, whole: pa.Table) -> None:
    alone = LIVE.filter(pa.compute.equal(LIVE.column("user_id").cast(pa.string()), "user-2"))
    mine = whole.filter(pa.compute.equal(whole.column("user_id"), "user-2"))
    assert run(bundle, alone, []).equals(mine)
