"""One experiment in process: what is calibrated, what is refused, what is only for research."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from conftest import Tables
from seqdetect import experiment
from seqdetect.detector.ewma import Ewma
from seqdetect.detector.graph import Value
from seqdetect.prepare import Data, prepare
from seqdetect.sequence.split import Split


@pytest.fixture(scope="module")
def data(events: pa.Table) -> Data:
    return prepare(Tables(events), Split())


class Manual(Ewma):
    """A detector without a graph of its own score."""

    def score(self, context: object, rows: Value) -> Value:
        raise AssertionError("a research-only detector is not asked for a graph")


def test_a_research_only_detector_is_measured_and_not_exported(data: Data, tmp_path: Path) -> None:
    graph = experiment.fit("ewma", Ewma(), data, 0, experiment.BUDGETS)
    trained = experiment.fit("manual", Manual(research_only="it has no graph"), data, 0, experiment.BUDGETS)
    assert trained.parity is None
    np.testing.assert_allclose(trained.raw, graph.raw, rtol=1e-4, atol=1e-4)
    scores = experiment.frame(data, trained.tail(trained.raw))
    metrics = experiment.measure(trained, data, scores, experiment.BUDGETS, 0)
    assert metrics["research_only"] == "it has no graph"
    with pytest.raises(ValueError, match="research-only: it has no graph"):
        experiment.write_bundle(trained, data, tmp_path / "b.onnx", 10.0, {})


def test_nothing_of_the_future_reaches_the_model(events: pa.Table, data: Data) -> None:
    """Other events after the training span leave the fitted prior as it is."""
    cut = data.spans.train_end
    times = events.column("timestamp").cast(pa.int64()).to_numpy()
    later = np.where(
        times >= cut, 7 * events.column("prompt_tokens").to_numpy(), events.column("prompt_tokens").to_numpy()
    )
    changed = prepare(Tables(events.set_column(2, "prompt_tokens", pa.array(later))), Split())
    one, other = (experiment.fit("ewma", Ewma(), each, 0, experiment.BUDGETS) for each in (data, changed))
    np.testing.assert_array_equal(one.prior.mean, other.prior.mean)
    before = data.history.steps.tick <= cut
    np.testing.assert_array_equal(one.raw[before], other.raw[before])
    assert not np.array_equal(one.raw[~before], other.raw[~before])


def test_clean_data_alone_is_enough_and_is_said(data: Data) -> None:
    trained = experiment.fit("ewma", Ewma(), data, 0, experiment.BUDGETS)
    assert trained.calibration["labels"] == "clean only"
    assert "no incident is labelled" in trained.calibration["statement"]
