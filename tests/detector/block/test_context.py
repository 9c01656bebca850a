"""The context that every detector sees, on real steps."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from seqdetect.bundle.load import session
from seqdetect.detector.block.context import AMOUNTS, COLUMNS, TRAILING_S, Z_LIMIT, context
from seqdetect.detector.block.normal import Prior
from seqdetect.detector.compose import new_graph, values_graph
from seqdetect.events import Tally
from seqdetect.score.replay import replay
from seqdetect.score.stepper import Stepper
from seqdetect.sequence.features import INDEX, SCORED
from seqdetect.sequence.stream import fill, history, neutral_values


def test_values_and_deviations(events: pa.Table) -> None:
    whole, _ = history(events.slice(0, 3_000), 10.0, Tally())
    features = fill(whole.steps.features, *neutral_values(whole.steps.features))
    model, graph = values_graph()
    values = replay(whole, Stepper(session(model.SerializeToString()), graph.initial_row), features, "values")
    assert values.shape[1] == COLUMNS == SCORED + len(AMOUNTS) * len(TRAILING_S)
    mine = np.flatnonzero(whole.steps.user == 0)
    time = whole.steps.tick[mine] / 1e6
    amount = np.expm1(features[mine, INDEX["prompt_tokens"]].astype(np.float64))
    for i, tau in enumerate(TRAILING_S):
        wanted = [
            np.log1p((np.exp((time[: k + 1] - time[k]) / tau) * amount[: k + 1]).sum()) for k in range(50)
        ]
        column = SCORED + i * len(AMOUNTS) + AMOUNTS.index("prompt_tokens")
        np.testing.assert_allclose(values[mine[:50], column], wanted, rtol=1e-4)
    prior = Prior.of(values, whole.steps.user)
    graph = new_graph()
    seen = context(graph, prior)
    built = graph.build(z=(seen.z, COLUMNS), time=(seen.time_of_day(), 2), expected=(seen.expected, 19))
    stepper = Stepper(session(built.SerializeToString()), graph.initial_row)
    z = replay(whole, stepper, features, "z")
    assert np.abs(z).max() <= Z_LIMIT
    assert 0.3 < np.median(z.std(axis=0)) < 2.0


def test_time_of_day_has_no_seam() -> None:
    graph = new_graph()
    prior = Prior(np.zeros(COLUMNS, np.float32), np.ones(COLUMNS, np.float32))
    waves = context(graph, prior).time_of_day()
    opened = session(graph.build(time=(waves, 2)).SerializeToString())
    features = np.zeros((8_641, 19), np.float32)
    features[:, INDEX["second_of_day"]] = np.arange(8_641) * 10.0
    feeds = {
        "features": features,
        "population": np.zeros(7, np.float32),
        "state_in": np.repeat(graph.initial_row[None], 8_641, axis=0),
    }
    (found,) = opened.run(["time"], {node.name: feeds[node.name] for node in opened.get_inputs()})
    assert np.abs(np.diff(found, axis=0)).max() < 3e-4
    np.testing.assert_allclose(found[0], found[-1], atol=1e-5)
    quarters = found[[0, 2_160, 4_320, 6_480]].round(3)
    assert len({tuple(row) for row in quarters.tolist()}) == 4
