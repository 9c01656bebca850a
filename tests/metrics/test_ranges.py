"""Range and affiliation scores on cases small enough to compute by hand; AUCs against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from seqdetect.metrics.affiliation import affiliation_scores
from seqdetect.metrics.ranges import pointwise_scores, range_scores
from seqdetect.metrics.ranking import auc_pr, auc_roc, pr_curve

FLAGS = st.lists(st.booleans(), min_size=12, max_size=12)
LABELS = FLAGS.filter(lambda flags: len(set(flags)) == 2)


def test_two_predictions_share_one_range() -> None:
    precision, recall, _ = range_scores([0, 1, 1, 1, 1, 0], [0, 1, 0, 0, 1, 1])
    assert precision == pytest.approx((1 + 0.5) / 2)
    assert recall == pytest.approx(0.2 + 0.8 * (2 / 4) / 2)


def test_nothing_predicted_is_worth_nothing() -> None:
    assert range_scores([0, 1], [0, 0]) == (0.0, 0.0, 0.0)
    assert pointwise_scores([0, 1], [0, 0]) == (0.0, 0.0, 0.0)


def test_affiliation_of_a_near_miss() -> None:
    # Zone [0, 10), segment [4, 6), prediction [6, 7): distances 0 to 1 from the segment.
    # Precision: far points make up 8 - 2d of 10, d averaging 0.5. Recall: d averages 1, 2d of 10 are nearer.
    labels, predicted = np.zeros(10), np.zeros(10)
    labels[4:6], predicted[6] = 1, 1
    precision, recall, _ = affiliation_scores(labels, predicted)
    assert precision == pytest.approx(0.7)
    assert recall == pytest.approx(0.8)


@given(LABELS)
def test_the_labels_themselves_are_perfect(labels: list[bool]) -> None:
    assert affiliation_scores(labels, labels) == pytest.approx((1, 1, 1))
    assert pointwise_scores(labels, labels) == (1, 1, 1)
    assert range_scores(labels, labels) == pytest.approx((1, 1, 1))


@given(LABELS, FLAGS)
def test_scores_stay_between_0_and_1(labels: list[bool], predicted: list[bool]) -> None:
    for measure in (range_scores, pointwise_scores, affiliation_scores):
        values = np.array(measure(labels, predicted))
        assert ((np.isnan(values)) | ((values >= -1e-12) & (values <= 1 + 1e-12))).all()


@given(LABELS, st.lists(st.integers(0, 4), min_size=12, max_size=12))
def test_areas_agree_with_scikit_learn_under_ties(labels: list[bool], score: list[int]) -> None:
    assert auc_pr(labels, score) == pytest.approx(average_precision_score(labels, score), abs=1e-9)
    assert auc_roc(labels, score) == pytest.approx(roc_auc_score(labels, score), abs=1e-9)


def test_pr_curve_is_short_and_ends_at_full_recall() -> None:
    rng = np.random.default_rng(0)
    labels = rng.random(5000) < 0.1
    curve = pr_curve(labels, rng.random(5000) + labels, points=200)
    assert len(curve["recall"]) <= 200
    assert curve["recall"] == sorted(curve["recall"])
    assert curve["recall"][-1] == 1.0
    assert curve["threshold"] == sorted(curve["threshold"], reverse=True)


def test_different_lengths_are_refused() -> None:
    for measure in (range_scores, pointwise_scores, affiliation_scores):
        with pytest.raises(ValueError, match="must be equal"):
            measure([0, 1], [1])
