"""Our measures against values computed by other programs (tests/golden/README.md says by which)."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seqdetect.metrics.affiliation import affiliation_scores
from seqdetect.metrics.period import window_length
from seqdetect.metrics.ranges import pointwise_scores, range_scores
from seqdetect.metrics.ranking import auc_pr, auc_roc
from seqdetect.metrics.vus import vus

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
CASES: dict[str, dict[str, Any]] = json.loads((GOLDEN / "metrics.json").read_text())
WINDOWS: list[dict[str, Any]] = json.loads((GOLDEN / "window_length.json").read_text())
ONE_CLASS = ("all_normal", "all_anomalous")
BOTH_CLASSES = sorted(set(CASES) - set(ONE_CLASS))


def arrays(name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, score and prediction of one case."""
    case = CASES[name]
    score = np.array(case["score"])
    return np.array([int(label) for label in case["labels"]]), score, score > case["threshold"]


@pytest.mark.parametrize("name", BOTH_CLASSES)
def test_areas_agree_to_1e_9(name: str) -> None:
    labels, score, _ = arrays(name)
    expected = CASES[name]["expected"]
    assert auc_pr(labels, score) == pytest.approx(expected["auc_pr"], abs=1e-9)
    assert auc_roc(labels, score) == pytest.approx(expected["auc_roc"], abs=1e-9)
    assert vus(labels, score, CASES[name]["window"]) == pytest.approx(
        (expected["vus_roc"], expected["vus_pr"]), abs=1e-9
    )


@pytest.mark.parametrize("name", BOTH_CLASSES)
def test_scores_at_a_threshold_agree_to_1e_6(name: str) -> None:
    labels, _, predicted = arrays(name)
    expected = CASES[name]["expected"]
    assert pointwise_scores(labels, predicted)[2] == pytest.approx(expected["f1"], abs=1e-6)
    assert range_scores(labels, predicted) == pytest.approx(expected["range_prf"], abs=1e-6)
    if expected["affiliation_prf"] is None:
        precision, recall, f1 = affiliation_scores(labels, predicted)
        assert (math.isnan(precision), recall, math.isnan(f1)) == (True, 0.0, True)
    else:
        assert affiliation_scores(labels, predicted) == pytest.approx(expected["affiliation_prf"], abs=1e-6)


@pytest.mark.parametrize("measure", [auc_pr, auc_roc, lambda labels, score: vus(labels, score, 10)])
@pytest.mark.parametrize("name", ONE_CLASS)
def test_one_class_is_refused_by_areas(name: str, measure: Callable[..., Any]) -> None:
    labels, score, _ = arrays(name)
    with pytest.raises(ValueError, match="both classes"):
        measure(labels, score)


@pytest.mark.parametrize("measure", [pointwise_scores, range_scores, affiliation_scores])
@pytest.mark.parametrize("name", ONE_CLASS)
def test_one_class_is_refused_at_a_threshold(name: str, measure: Callable[..., Any]) -> None:
    labels, _, predicted = arrays(name)
    with pytest.raises(ValueError, match="both classes"):
        measure(labels, predicted)


@pytest.mark.parametrize("case", WINDOWS, ids=lambda case: case["name"])
def test_window_length_agrees(case: dict[str, Any]) -> None:
    assert window_length(case["series"]) == case["rank1"]


def test_window_length_of_a_constant_falls_back() -> None:
    assert window_length(np.zeros(500)) == 125
    assert window_length([1.0, 2.0]) == 125
