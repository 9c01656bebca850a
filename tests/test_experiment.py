"""One experiment in process: what is calibrated, what is refused, what is only for research."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from conftest import START_US, Tables, traffic
from seqdetect import experiment
from seqdetect.bundle.load import load
from seqdetect.detector import Examples, Rows
from seqdetect.detector.ewma import Ewma
from seqdetect.detector.graph import Value
from seqdetect.detector.learned_evidence import LearnedEvidence
from seqdetect.detector.static_threshold import StaticThreshold
from seqdetect.events import MICROSECONDS
from seqdetect.exposure import Exposure
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


SMALL = traffic(users=4, hours=24.0, rate_s=0.01)


class Labelled(Tables):
    """Two incidents while a detector trains and one while it is calibrated."""

    def incidents(self) -> pd.DataFrame:  # type: ignore[override]
        rows = [("user-1", 7), ("user-2", 9), ("user-3", 14)]
        start = np.array([START_US + hour * 3600 * MICROSECONDS for _, hour in rows])
        return pd.DataFrame(
            {
                "incident_id": ["a", "b", "c"],
                "user_id": [user for user, _ in rows],
                "start": start,
                "end": start + 3600 * MICROSECONDS,
                "kind": "flood",
            }
        )


class Honest(Ewma):
    """A learner whose out-of-fold scores lie one above its own."""

    shown: Examples | None = None
    usable: NDArray[np.bool_] | None = None
    kinds = ("flood",)

    def learn(self, examples: Examples, seed: int) -> None:
        self.shown = examples

    def calibrate(self, rows: Rows) -> NDArray[np.float64]:
        self.usable = rows.usable
        return self.reference(rows) + 1.0


@pytest.fixture(scope="module")
def labelled() -> Data:
    return prepare(Labelled(SMALL), Split())


def test_a_learner_s_thresholds_rest_on_its_out_of_fold_scores(labelled: Data) -> None:
    detector = Honest()
    plain = experiment.fit("ewma", Ewma(), labelled, 0, experiment.BUDGETS)
    trained = experiment.fit("honest", detector, labelled, 0, experiment.BUDGETS, Exposure(copies=0))
    during = labelled.within(labelled.spans.calibration)
    np.testing.assert_array_equal(trained.raw[~during], plain.raw[~during])
    np.testing.assert_allclose(trained.raw[during], plain.raw[during] + 1.0, atol=1e-3)
    np.testing.assert_allclose(trained.tail.knot, plain.tail.knot + 1.0, atol=1e-3)
    for name, threshold in trained.thresholds.items():
        np.testing.assert_allclose(threshold.value, plain.thresholds[name].value, rtol=0.05)
    assert detector.usable is not None
    np.testing.assert_array_equal(detector.usable, labelled.calibrating)
    assert detector.shown is not None
    assert sorted(detector.shown.kind[detector.shown.attack]) == ["flood"] * 3
    assert detector.shown.values.shape[1] == 3, "the detector's own rows"
    assert trained.kinds == ["unknown", "flood"]


def test_a_learner_without_an_incident_learns_nothing_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    detector, data = Honest(), prepare(Tables(SMALL), Split())
    experiment.fit("honest", detector, data, 0, experiment.BUDGETS, Exposure(copies=0))
    assert detector.shown is None
    assert "no incident is labelled or simulated" in caplog.text


def test_a_detector_that_learned_incidents_is_exported(labelled: Data, tmp_path: Path) -> None:
    detector = LearnedEvidence(StaticThreshold(), {"rounds": 1, "epochs": 2}, folds=2)
    trained = experiment.fit("learned", detector, labelled, 0, experiment.BUDGETS, Exposure(copies=0))
    during = labelled.within(labelled.spans.calibration)
    assert detector.whole is not None
    assert trained.parity is not None
    path = tmp_path / "b.onnx"
    experiment.write_bundle(trained, labelled, path, 10.0, {})
    bundle = load(path)
    assert bundle.metadata.kinds == ["unknown"], "three incidents are too few to tell kinds apart"
    assert "scale" in {node.name for node in bundle.session.get_outputs()}
    floor_alone = LearnedEvidence(StaticThreshold())
    without = experiment.fit("floor", floor_alone, labelled, 0, experiment.BUDGETS)
    assert (trained.raw >= without.raw - 1e-4).all(), "the head only adds"
    assert (trained.raw[during] > without.raw[during] + 0.1).any()
