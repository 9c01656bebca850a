"""The histogram of scores, against the client's own."""

from __future__ import annotations

import numpy as np
from prometheus_client import CollectorRegistry, Histogram

from seqdetect.serve.spread import EDGES, Spread


def test_it_counts_like_the_clients_own_histogram():
    score = np.random.default_rng(3).gamma(1.0, 1.5, 500).astype(np.float32)
    score[:3] = [0.0, 2.0, 40.0]
    ours, theirs, spread = CollectorRegistry(), CollectorRegistry(), Spread()
    ours.register(spread)
    one_by_one = Histogram("seqdetect_score", "s", ["model"], buckets=EDGES, registry=theirs)
    for value in score:
        one_by_one.labels("m").observe(float(value))
    for part in np.split(score, [1, 200]):
        spread.add("m", part)
    for edge in [*map(str, EDGES), "+Inf"]:
        place = {"model": "m", "le": edge}
        expected = theirs.get_sample_value("seqdetect_score_bucket", place)
        assert ours.get_sample_value("seqdetect_score_bucket", place) == expected
    assert ours.get_sample_value("seqdetect_score_count", {"model": "m"}) == len(score)
    np.testing.assert_allclose(
        ours.get_sample_value("seqdetect_score_sum", {"model": "m"}),
        theirs.get_sample_value("seqdetect_score_sum", {"model": "m"}),
    )
