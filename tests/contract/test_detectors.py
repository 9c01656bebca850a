"""What every detector promises, checked on whatever ``seqdetect.detector`` holds."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from numpy.typing import NDArray
from omegaconf import OmegaConf

import seqdetect.detector
from conftest import START_US, traffic
from seqdetect.bundle.load import session
from seqdetect.detector import Detector, Examples, Learner, Rows
from seqdetect.detector.block.normal import Prior
from seqdetect.detector.compose import rows_graph, step_graph, values_graph
from seqdetect.events import MICROSECONDS, Tally, concat, conform
from seqdetect.score.replay import replay
from seqdetect.score.stepper import Stepper
from seqdetect.sequence.stream import History, fill, history, neutral_values

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
PARTS = ("rows", "fit", "score", "reference", "research_only")
SMALL: dict[str, dict[str, Any]] = {
    "autoencoder": {"epochs": 3, "hidden": (16, 8), "batch_size": 128},
    "iforest": {"trees": 20},
    "knn": {"references": 300},
    "lof": {"references": 300},
    "lstm_autoencoder": {
        "window": 4,
        "hidden": 8,
        "fit_windows": 2_000,
        "trainer": {"max_epochs": 2, "accelerator": "cpu"},
    },
    "learned_evidence": {"head": {"rounds": 2, "epochs": 4}, "folds": 2},
    "lstm_tutorial": {
        "window": 4,
        "hidden": 8,
        "fit_windows": 2_000,
        "trainer": {"max_epochs": 2, "accelerator": "cpu"},
    },
    "ocsvm": {"references": 300},
}
"""Settings that keep a fit short; the promises must hold for any."""
WRAPS = {"adapted": {"inner": "iforest"}, "learned_evidence": {"floor": "static_threshold"}}
"""Detectors around another: the argument that takes it, and the one that they are checked with here."""
WARM_UP_US = 2 * 3600 * MICROSECONDS
BURST_US = START_US + 36 * 3600 * MICROSECONDS
BURST_TICKS = 12
TOLERANCE = 1e-5


def _found() -> dict[str, Callable[..., Detector]]:
    """Detector classes by the name of their module."""
    out = {}
    for info in pkgutil.iter_modules(seqdetect.detector.__path__):
        if info.ispkg:
            continue
        module = importlib.import_module(f"seqdetect.detector.{info.name}")
        for item in vars(module).values():
            own = isinstance(item, type) and item.__module__ == module.__name__
            if own and dataclasses.is_dataclass(item) and all(hasattr(item, part) for part in PARTS):
                out[info.name] = item
    return out


DETECTORS = _found()
# lightning asks torch about trees in a way that torch deprecates
pytestmark = pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec.*:FutureWarning")


@dataclasses.dataclass(frozen=True)
class Material:
    """One stream of events, as far as it is the same for all detectors."""

    history: History
    features: NDArray[np.float32]
    prior: Prior
    usable: NDArray[np.bool_]
    burst: NDArray[np.bool_]
    """Rows of the first user while it sends far more and far longer requests than ever."""

    def stepper(self, detector: Detector, what: str) -> Stepper:
        prior = self.prior
        model, graph = rows_graph(detector, prior) if what == "rows" else step_graph(detector, prior, None)
        return Stepper(session(model.SerializeToString()), graph.initial_row)

    def rows(self, detector: Detector) -> Rows:
        steps = self.history.steps
        values = replay(self.history, self.stepper(detector, "rows"), self.features, "rows")
        return Rows(values, steps.user, steps.tick, self.usable)


def _material(events: pa.Table) -> Material:
    whole, keys = history(concat([events, _burst()]), 10.0, Tally())
    steps = whole.steps
    features = fill(steps.features, *neutral_values(steps.features))
    model, graph = values_graph()
    values = replay(whole, Stepper(session(model.SerializeToString()), graph.initial_row), features, "values")
    first = keys.names.index("user-0")
    burst = (steps.user == first) & (steps.tick > BURST_US)
    usable = ~burst & (steps.tick > steps.tick[0] + WARM_UP_US)
    return Material(whole, features, Prior.of(values[usable], steps.user[usable]), usable, burst)


def _burst() -> pa.Table:
    each = 60
    time = BURST_US + np.arange(BURST_TICKS * each) * (10 * MICROSECONDS // each)
    columns = {
        "timestamp": pa.array(time).cast(pa.timestamp("us", "UTC")),
        "user_id": ["user-0"] * len(time),
        "prompt_tokens": np.full(len(time), 8_000),
        "completion_tokens": np.full(len(time), 4_000),
    }
    return conform(pa.table(columns))


@dataclasses.dataclass(frozen=True)
class Trained:
    """A detector fitted on ``material``, and what it says of it."""

    name: str
    detector: Detector
    rows: Rows
    raw: NDArray[np.float64]
    """[n] the graph's raw scores; the model's own where it does not export."""
    reference: NDArray[np.float64]
    stepper: Stepper | None
    """The step function with every user's state after the last tick; None where it does not export."""


@pytest.fixture(scope="module")
def material(events: pa.Table) -> Material:
    return _material(events)


@pytest.fixture(scope="module")
def other() -> Material:
    return _material(traffic(seed=1, rate_s=0.03))


@pytest.fixture(scope="module", params=sorted(DETECTORS))
def trained(request: pytest.FixtureRequest, material: Material) -> Trained:
    detector = _new(request.param)
    rows = material.rows(detector)
    _fit(detector, rows, material.burst)
    reference = detector.reference(rows)
    if detector.research_only:
        return Trained(request.param, detector, rows, reference, reference, None)
    stepper = material.stepper(detector, "score")
    raw = replay(material.history, stepper, material.features, "score")[:, 0].astype(np.float64)
    return Trained(request.param, detector, rows, raw, reference, stepper)


def _new(name: str) -> Detector:
    wrapped = {argument: _new(inner) for argument, inner in WRAPS.get(name, {}).items()}
    return DETECTORS[name](**SMALL.get(name, {}), **wrapped)


def _fit(detector: Detector, rows: Rows, burst: NDArray[np.bool_]) -> None:
    """Fit on the usable rows; one that learns incidents is shown the burst, ten steps at a time."""
    detector.fit(rows, 0)
    if not isinstance(detector, Learner):
        return
    shown = rows.usable | burst
    group = (rows.user * 10_000 + np.arange(len(rows)) // 10)[shown]
    names, first, bag = np.unique(group, return_index=True, return_inverse=True)
    attack = np.zeros(len(names), bool)
    attack[bag[burst[shown]]] = True
    kind = np.where(attack, "flood", "").astype(object)
    user = rows.user[shown][first].astype(np.int64)
    detector.learn(Examples(rows.values[shown], bag, kind, user, np.ones(len(names))), 0)
    detector.calibrate(rows)


def test_the_folder_holds_detectors() -> None:
    assert {"iforest", "lstm_autoencoder", "static_threshold", "ecod"} <= set(DETECTORS)


def test_same_seed_same_scores(trained: Trained, material: Material) -> None:
    again = _new(trained.name)
    _fit(again, trained.rows, material.burst)
    np.testing.assert_array_equal(again.reference(trained.rows), trained.reference)
    if not trained.detector.research_only:
        models = [step_graph(one, material.prior, None)[0] for one in (again, trained.detector)]
        assert models[0].SerializeToString() == models[1].SerializeToString()


def test_training_shapes_the_scores(trained: Trained, other: Material) -> None:
    elsewhere = _new(trained.name)
    _fit(elsewhere, other.rows(elsewhere), other.burst)
    assert not np.allclose(elsewhere.reference(trained.rows), trained.reference, rtol=1e-3)


def test_scores_are_finite_and_vary(trained: Trained) -> None:
    assert np.isfinite(trained.raw).all()
    lower, upper = np.percentile(trained.raw[trained.rows.usable], [25, 75])
    assert upper > lower


def test_a_burst_scores_high(trained: Trained, material: Material) -> None:
    first = trained.rows.user == trained.rows.user[material.burst][0]
    usual = np.percentile(trained.raw[first & material.usable], 99)
    assert material.burst.sum() == BURST_TICKS
    assert np.median(trained.raw[material.burst]) > usual


def test_it_exports_with_parity_or_says_why_not(trained: Trained) -> None:
    if trained.detector.research_only is not None:
        assert len(trained.detector.research_only.split()) >= 4, "say why it cannot be exported"
        return
    lower, upper = np.percentile(trained.reference[trained.rows.usable], [25, 75])
    scale = np.maximum(np.abs(trained.reference), upper - lower)
    assert (np.abs(trained.raw - trained.reference) / scale).max() <= TOLERANCE


@pytest.mark.parametrize("sizes", [[1] * 50, [3, 16, 17, 14], [49, 1], [33, 17]])
def test_rows_do_not_see_each_other(trained: Trained, material: Material, sizes: list[int]) -> None:
    stepper = trained.stepper
    if stepper is None:
        pytest.skip(f"not exported: {trained.detector.research_only}")
    rng = np.random.default_rng(5)
    rows = np.append(rng.choice(len(material.features), 40), np.flatnonzero(material.burst)[:10])
    features = material.features[rows]
    state = stepper.state[rng.choice(6, 50)]  # a copy
    state[:5] = stepper.initial
    population = material.history.population[7]
    whole = stepper.run(features, population, state)
    ends = np.cumsum(sizes)
    order = rng.permutation(50)
    parts = [
        stepper.run(features[rows], population, state[rows]) for rows in np.split(order, ends[:-1].tolist())
    ]
    for name, value in whole.items():
        np.testing.assert_array_equal(np.concatenate([part[name] for part in parts]), value[order], name)


def test_one_yaml_builds_it(trained: Trained) -> None:
    target = f"seqdetect.detector.{trained.name}.{type(trained.detector).__name__}"
    files = [p for p in (CONFIGS / "detector").glob("*.yaml") if OmegaConf.load(p)["_target_"] == target]
    stems = [path.stem for path in files]
    variants = [stem.removesuffix(f"_{trained.name}") for stem in stems if stem != trained.name]
    assert stems
    assert all(variant in DETECTORS for variant in variants)
    for stem in stems:
        _builds_the_defaults(stem, DETECTORS[trained.name])


def _builds_the_defaults(stem: str, made: Callable[..., Detector]) -> None:
    fields = {field.name: field for field in dataclasses.fields(made) if field.init}  # type: ignore[arg-type]
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = compose(overrides=[f"+detector={stem}", "+trainer=cpu"]).detector
        built = instantiate(config)
    assert set(config) == set(fields) - {"research_only"} | {"_target_"}
    for name, field in fields.items():
        if field.default is not dataclasses.MISSING:
            value = getattr(built, name)
            value = tuple(value) if isinstance(field.default, tuple) else value
            assert value == field.default, f"{stem}.yaml: {name} is not the class's default"
