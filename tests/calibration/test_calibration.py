"""Tail probabilities and thresholds mean what they say."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from seqdetect.bundle.load import session
from seqdetect.calibration.clean import clean_rows
from seqdetect.calibration.tail import fit_tail
from seqdetect.calibration.threshold import poisson_upper_bound, set_thresholds
from seqdetect.detector.compose import new_graph, write_tail

MINUTE = 60_000_000


def test_a_score_is_minus_the_logarithm_of_its_tail_probability():
    raw = np.random.default_rng(0).exponential(size=200_000)
    tail = fit_tail(raw)
    for probability in (0.1, 0.01, 0.001):
        assert tail(np.array(-np.log(probability))) == pytest.approx(-np.log10(probability), abs=0.05)
    # beyond the data the tail goes on as it was, its slope known from some twenty rows
    assert tail(np.array(-np.log(1e-7))) == pytest.approx(7, abs=1.6)


def test_the_map_never_falls():
    rng = np.random.default_rng(1)
    tail = fit_tail(np.round(rng.normal(size=5000), 1))
    values = tail(np.linspace(-10, 50, 1000))
    assert (np.diff(values) >= 0).all()
    assert values[-1] > values[-2]


def test_the_graph_computes_the_same_map():
    rng = np.random.default_rng(2)
    tail = fit_tail(rng.lognormal(size=20_000))
    graph = new_graph()
    model = graph.build(score=(write_tail(graph, graph.features.columns(0, 1), tail), 1))
    raw = rng.lognormal(0.5, 1.5, size=300).astype(np.float32)
    features = np.zeros((300, 19), np.float32)
    features[:, 0] = raw
    feeds = {
        "features": features,
        "population": np.zeros(7, np.float32),
        "state_in": np.zeros((300, 1), np.float32),
    }
    names = {node.name for node in session(model.SerializeToString()).get_inputs()}
    (score,) = session(model.SerializeToString()).run(
        ["score"], {k: v for k, v in feeds.items() if k in names}
    )
    assert score[:, 0] == pytest.approx(tail(raw.astype(np.float64)), rel=2e-5, abs=2e-5)


def test_constant_scores_have_no_tail():
    with pytest.raises(ValueError, match="same score"):
        fit_tail(np.ones(100))


def test_thresholds_keep_their_budget_and_say_what_they_rest_on():
    rng = np.random.default_rng(3)
    minutes = 14 * 24 * 60
    scores = pd.concat(
        [
            pd.DataFrame(
                {
                    "user_id": f"u{u}",
                    "timestamp": np.arange(minutes) * MINUTE,
                    "score": rng.exponential(size=minutes),
                }
            )
            for u in range(3)
        ]
    )
    got = set_thresholds(scores, None, (0, minutes * MINUTE), {"critical": 1.0, "warning": 7.0})
    assert got["critical"].exposure_user_weeks == pytest.approx(6.0)
    assert got["critical"].episodes <= 6
    assert got["warning"].episodes <= 42
    assert got["critical"].value > got["warning"].value
    assert got["critical"].upper_bound_per_user_week > got["critical"].episodes / 6
    assert "95%" in got["critical"].statement


def test_too_little_exposure_is_said():
    scores = pd.DataFrame(
        {"user_id": "u", "timestamp": np.arange(100) * MINUTE, "score": np.random.default_rng(0).random(100)}
    )
    got = set_thresholds(scores, None, (0, 100 * MINUTE), {"critical": 1.0})
    assert "too little clean time" in got["critical"].statement
    with pytest.raises(ValueError, match="no scored step"):
        set_thresholds(scores.iloc[:0], None, (0, 100 * MINUTE), {"critical": 1.0})


def test_the_upper_bound_is_garwoods():
    # rule of three: 95 % bound of zero events is 3.0
    assert poisson_upper_bound(0) == pytest.approx(2.996, abs=1e-3)
    assert poisson_upper_bound(5) == pytest.approx(10.513, abs=1e-3)


def test_clean_rows_leave_out_attacks_and_their_aftermath_alone():
    user = np.array([0, 0, 0, 0, 1, 1], np.int32)
    tick = np.array([10, 20, 50, 90, 20, 20]) * MINUTE
    incidents = pd.DataFrame(
        {
            "incident_id": ["a", "b", "c"],
            "user_id": ["x", "y", "z"],
            "start": [15 * MINUTE, 0, 0],
            "end": [25 * MINUTE, 100 * MINUTE, 1],
            "kind": ["flood", "benign_campaign", "flood"],
        }
    )
    assert clean_rows(user, tick, ["x", "y"], incidents).tolist() == [True, False, False, True, True, True]
