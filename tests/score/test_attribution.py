"""Causes: an attack planted in one feature is blamed on that feature, in plain units, at its time scale."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import handmade
from conftest import START_US, Tables, traffic
from seqdetect.bundle.load import Bundle, load
from seqdetect.events import MICROSECONDS, Tally, conform
from seqdetect.lane import Lane
from seqdetect.score.attribution import Attribution, natural
from seqdetect.score.engine import Engine, Scored
from seqdetect.scorer import Model, Scorer
from seqdetect.sequence.features import FEATURES, NAMES
from seqdetect.sequence.population import NAMES as POPULATION

ATTACKED_US = START_US + 37 * 3600 * MICROSECONDS
USUAL = {
    "prompt_tokens": 1096,
    "completion_tokens": 90,
    "model": "model-0",
    "client_ip": "10.0.2.1",
    "status": 200,
    "latency_ms": 400.0,
}
"""A request as user-2 sends them."""


@pytest.fixture(scope="module")
def bundle(events: pa.Table, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A detector that looks at every feature."""
    pytest.importorskip("pyod")
    from seqdetect import experiment
    from seqdetect.detector.pca import Pca
    from seqdetect.prepare import prepare
    from seqdetect.sequence.split import Split

    data = prepare(Tables(events), Split())
    trained = experiment.fit("pca", Pca(), data, 0, experiment.BUDGETS)
    path = tmp_path_factory.mktemp("causes") / "bundle.onnx"
    experiment.write_bundle(trained, data, path, 10.0, {"run_id": "test"})
    return load(path)


@pytest.fixture(scope="module")
def memory(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the scorer knows after a day and a half."""
    scorer = Scorer([Model("pca", bundle)], Tally())
    scorer.push(traffic())
    path = tmp_path_factory.mktemp("memory") / "state.ckpt"
    scorer.save(path)
    return path


def warm(bundle: Bundle, memory: Path, thresholds: dict[str, float] | None = None) -> Lane:
    """The users' sequences, and the bundle as their only head, as they were when ``memory`` was saved."""
    scorer = Scorer([Model("pca", bundle, thresholds=thresholds or {})], Tally())
    scorer.load(memory)
    return scorer.lanes[0]


def attacked(bundle: Bundle, memory: Path, planted: dict[str, Any]) -> Scored:
    """One tick of user-2 in which all is usual but what is planted; a list holds a value for each request."""
    requests = max([len(value) for value in planted.values() if isinstance(value, list)], default=1)
    columns = {
        name: value if isinstance(value, list) else [value] * requests
        for name, value in (USUAL | planted).items()
    }
    times = pa.array(ATTACKED_US + np.arange(requests) * 1000).cast(pa.timestamp("us", "UTC"))
    lane = warm(bundle, memory, {"warning": 0.0})
    list(lane.push(conform(pa.table({"timestamp": times, "user_id": ["user-2"] * requests, **columns}))))
    ((_, scored),) = lane.flush()
    assert scored.tick[-1] > ATTACKED_US
    return scored


@pytest.mark.parametrize(
    ("planted", "name", "value"),
    [
        ({"status": [200] * 300}, "requests", 300),
        ({"prompt_tokens": 150_000}, "prompt_tokens", 150_000),
        ({"completion_tokens": 150_000}, "completion_tokens", 150_000),
        ({"client_ip": [f"203.0.113.{i}" for i in range(5)]}, "addresses", 5),
        ({"model": [f"stolen-{i}" for i in range(5)]}, "new_models", 5),
        ({"status": 500}, "errors", 1),
        ({"latency_ms": 90_000.0}, "latency", 90_000),
    ],
)
def test_an_attack_in_one_feature_is_blamed_on_it(
    bundle: Bundle, memory: Path, planted: dict[str, Any], name: str, value: float
) -> None:
    calm, scored = attacked(bundle, memory, {}), attacked(bundle, memory, planted)
    excess = float(scored.score[-1] - calm.score[-1])
    first = scored.causes[len(scored) - 1][0]
    assert first.name == name
    assert first.value == pytest.approx(value, rel=1e-3)
    assert first.expected < 0.5 * value
    assert first.contribution > 0.3 * excess > 0.1  # many requests are many tokens as well
    assert first.scale_s is None


@pytest.mark.parametrize("group", sorted({one.group for one in FEATURES} - {"context"}))
def test_any_group_of_features_can_be_the_cause(bundle: Bundle, memory: Path, group: str) -> None:
    """Each column moved up by five, one group at a time, in the state of a known user."""
    lane = warm(bundle, memory)
    judge = lane.heads[0].judge
    row = lane.stream.keys.names.index("user-2")
    before = judge.stepper.rows(np.array([row], np.int32))
    population = np.zeros(len(POPULATION), np.float32)
    calm = judge.neutral[None]
    expected = judge.stepper.run(calm, population, before)["expected"]
    columns = [i for i, one in enumerate(FEATURES) if one.group == group]
    features = expected.copy()
    features[:, columns] += 5.0
    outputs = judge.stepper.run(features, population, before)
    ((first, *_),) = Attribution(bundle.metadata.features)(
        judge.stepper, features, population, before, outputs
    )
    assert first.name == NAMES[columns[0]]
    assert first.contribution > 0
    unit = FEATURES[columns[0]].unit
    assert first.value == pytest.approx(natural(unit, float(expected[0, columns[0]]) + 5.0), rel=1e-3)
    # replaced by the expected values, nothing unusual is left: the group's part is all of the excess
    rest = judge.stepper.run(expected, population, before)["score"]
    assert first.contribution == pytest.approx(float(outputs["score"][0, 0] - rest[0, 0]), abs=1e-5)


@pytest.mark.parametrize(
    ("requests", "tokens", "name", "scale_s"),
    [(400, 10, "requests", handmade.FLOOD_S), (3, 90_000, "completion_tokens", handmade.WALLET_S)],
)
def test_the_time_scale_of_the_evidence_is_told(
    tmp_path: Path, requests: int, tokens: int, name: str, scale_s: float
) -> None:
    times = pa.array(START_US + np.arange(requests) * 1000).cast(pa.timestamp("us", "UTC"))
    sizes = {"prompt_tokens": [100] * requests, "completion_tokens": [tokens] * requests}
    engine = Engine(load(handmade.write(tmp_path / "b.onnx")), Tally())
    engine.push(conform(pa.table({"timestamp": times, "user_id": ["u"] * requests, **sizes})))
    causes = engine.flush().causes[0]
    assert causes[0].name == name
    assert {cause.scale_s for cause in causes} == {scale_s}
