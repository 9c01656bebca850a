"""One experiment: a detector fitted, calibrated, exported, streamed over the events again and measured."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import pandas as pd
from numpy.typing import NDArray

from seqdetect.bundle import export
from seqdetect.bundle.export import check_parity
from seqdetect.bundle.load import session
from seqdetect.bundle.schema import Parity, Threshold
from seqdetect.calibration.tail import Tail, fit_tail
from seqdetect.calibration.threshold import set_thresholds
from seqdetect.detector import Detector, Learner, Rows
from seqdetect.detector.block.normal import Prior
from seqdetect.detector.compose import rows_graph, step_graph, values_graph
from seqdetect.detector.graph import Graph
from seqdetect.events import iso
from seqdetect.exposure import Exposure
from seqdetect.metrics.evaluate import evaluate, random_scores
from seqdetect.prepare import Data
from seqdetect.score.replay import replay
from seqdetect.score.stepper import Stepper
from seqdetect.sequence.split import measured
from seqdetect.sequence.stream import History

log = logging.getLogger(__name__)
BUDGETS: Final = {"critical": 1.0, "warning": 7.0}
"""False alerts per user-week by tier."""
PARITY_ROWS: Final = 20_000
UNKNOWN: Final = "unknown"


@dataclass(frozen=True)
class Trained:
    """A fitted and calibrated detector."""

    name: str
    detector: Detector
    prior: Prior
    tail: Tail
    raw: NDArray[np.float64]
    """[n] raw scores of every step of the data; out of fold in the calibration span, where a part learned from it."""
    kinds: list[str]
    """Columns of the graph's output ``kind``, "unknown" first."""
    parity: Parity | None
    """None for a research-only detector, which is not exported."""
    state_width: int
    thresholds: dict[str, Threshold]
    calibration: dict[str, Any]
    timing: dict[str, float]


def fit(
    name: str,
    detector: Detector,
    data: Data,
    seed: int,
    budgets: Mapping[str, float],
    exposure: Exposure | None = None,
) -> Trained:
    """Fit on the clean steps of the training span, calibrate on the calibration span.

    A ``Learner`` also learns from incidents up to the end of calibration: labelled ones, and those of ``exposure``.
    """
    started = time.monotonic()
    training = data.history.until(data.spans.train_end)
    usable, clean = data.usable[: len(training.steps)], data.calibrating
    log.info("%s: replaying %d training steps", name, len(training.steps))
    values, _ = _replayed(values_graph(), training, data, "values")
    prior = Prior.of(values[usable], training.steps.user[usable])
    rows = _rows(detector, prior, training, data, usable)
    log.info("%s: fitting on %d clean steps", name, int(usable.sum()))
    detector.fit(rows, seed)
    honest = _learned(name, detector, prior, data, exposure, seed) if isinstance(detector, Learner) else None
    fitted = time.monotonic()
    raw, parity, width = _raw_scores(detector, prior, rows, data)
    timing = {
        "fit_s": fitted - started,
        "replay_s": time.monotonic() - fitted,
        "us_per_step": 1e6 * (time.monotonic() - fitted) / max(len(raw), 1),
    }
    if honest is not None:
        raw = np.where(data.within(data.spans.calibration), honest, raw)
    tail = fit_tail(raw[clean])
    span = measured(data.spans.calibration)
    thresholds = set_thresholds(frame(data, tail(raw)), data.incidents, span, budgets)
    kinds = [UNKNOWN, *(detector.kinds if isinstance(detector, Learner) else [])]
    return Trained(
        name, detector, prior, tail, raw, kinds, parity, width, thresholds, _labels(data, clean), timing
    )


def _learned(
    name: str, detector: Learner, prior: Prior, data: Data, exposure: Exposure | None, seed: int
) -> NDArray[np.float64]:
    """Teach ``detector`` incidents; raw scores of all steps by parts that learned nothing of the step's own user."""
    assert isinstance(detector, Detector)

    def rows(some: Data) -> NDArray[np.float32]:
        return _replayed(rows_graph(detector, prior), some.history, some, "rows")[0]

    if exposure is not None:
        log.info("%s: incidents to learn from, in %d copies of the history", name, exposure.copies)
        examples = exposure.examples(data, rows, seed)
        if examples.attack.any():
            detector.learn(examples, seed)
        else:
            log.warning("%s: no incident is labelled or simulated, so it has no head, only its floor", name)
    steps = data.history.steps
    return detector.calibrate(Rows(rows(data), steps.user, steps.tick, data.calibrating))


def _rows(detector: Detector, prior: Prior, history: History, data: Data, usable: NDArray[np.bool_]) -> Rows:
    values, _ = _replayed(rows_graph(detector, prior), history, data, "rows")
    return Rows(values, history.steps.user, history.steps.tick, usable)


def _raw_scores(
    detector: Detector, prior: Prior, rows: Rows, data: Data
) -> tuple[NDArray[np.float64], Parity | None, int]:
    """Raw scores of all steps by the graph, which is first held against the trained model, and the state's width.

    A research-only detector has no graph: it scores all of its rows itself.
    """
    if detector.research_only is not None:
        every = _rows(detector, prior, data.history, data, np.zeros(len(data.history.steps), bool))
        return detector.reference(every), None, len(rows_graph(detector, prior)[1].initial_row)
    scores, width = _replayed(step_graph(detector, prior, None), data.history, data, "score")
    raw = scores[:, 0]
    some = rows.take(slice(0, PARITY_ROWS))
    training = raw[: len(rows)][rows.usable]
    name = f"{type(detector).__name__}.reference"
    return (
        raw.astype(np.float64),
        check_parity(raw[: len(some)], detector.reference(some), training, name),
        width,
    )


def _replayed(
    made: tuple[onnx.ModelProto, Graph], history: History, data: Data, output: str
) -> tuple[NDArray[np.float32], int]:
    """An output of a graph over ``history``, which begins where the data begin, and the width of its state."""
    model, graph = made
    stepper = Stepper(session(model.SerializeToString()), graph.initial_row)
    return replay(history, stepper, data.features[: len(history.steps)], output), len(graph.initial_row)


def _labels(data: Data, clean: NDArray[np.bool_]) -> dict[str, Any]:
    """What the calibration rests on, in words and numbers."""
    start, end = data.spans.calibration
    known = data.incidents
    inside = 0 if known is None else int(((known["start"] < end) & (known["end"] > start)).sum())
    statement = (
        f"{inside} labelled incident rows in the calibration span were set apart from its clean steps"
        if inside
        else "no incident is labelled in the calibration span: all of it was taken as clean, "
        "so an attack in it raises the thresholds"
    )
    return {
        "labels": "incidents" if inside else "clean only",
        "incident_rows": inside,
        "clean_steps": int(clean.sum()),
        "statement": statement,
    }


def frame(data: Data, score: NDArray[np.floating[Any]]) -> pd.DataFrame:
    """Scores [n] of all steps as the measures read them."""
    steps = data.history.steps
    names = np.array(data.keys.names, dtype=object)
    return pd.DataFrame(
        {"user_id": names[steps.user], "timestamp": steps.tick, "score": score.astype(np.float64)}
    )


def write_bundle(
    trained: Trained, data: Data, path: Path, lateness_s: float, provenance: dict[str, Any]
) -> None:
    """Export the trained detector as a bundle. ``ValueError`` for one that is research-only."""
    if trained.parity is None:
        raise ValueError(f"{trained.name} is research-only: {trained.detector.research_only}")
    model, graph = step_graph(trained.detector, trained.prior, trained.tail)
    export.write_bundle(
        path,
        model,
        graph.initial,
        detector=trained.name,
        key=data.key,
        tick_s=data.tick_s,
        lateness_s=lateness_s,
        features=export.columns(*data.inputs),
        thresholds=trained.thresholds,
        kinds=trained.kinds,
        calibration=trained.calibration,
        parity=trained.parity,
        provenance=provenance,
    )


def measure(
    trained: Trained, data: Data, scores: pd.DataFrame, budgets: Mapping[str, float], seed: int
) -> dict[str, Any]:
    """Everything known about a run; ``scores`` are those that the scorer wrote."""
    thresholds = {name: one.value for name, one in trained.thresholds.items()}

    def on(span: tuple[int, int], what: pd.DataFrame, use: Mapping[str, float]) -> dict[str, Any]:
        rng = np.random.default_rng(seed)
        return evaluate(what, data.incidents, measured(span), use, budgets, rng, data.keys.names)

    calibration = on(data.spans.calibration, frame(data, trained.tail(trained.raw)), thresholds)
    chance = random_scores(scores, np.random.default_rng([seed, 99]))
    return {
        "detector": trained.name,
        "seed": seed,
        "data": data.describe() | {"start": iso(data.spans.start), "end": iso(data.spans.end)},
        "split": data.spans.iso(),
        "calibration": trained.calibration
        | {"thresholds": {name: _asdict(one) for name, one in trained.thresholds.items()}},
        "selection": {"score": selection_score(calibration), "on": "calibration"},
        "test": on(data.spans.test, scores, thresholds),
        "test_random": on(data.spans.test, chance, {}),
        "parity": None if trained.parity is None else _asdict(trained.parity),
        "timing": trained.timing,
        "state_bytes_per_user": 4 * trained.state_width,
        "research_only": trained.detector.research_only,
        "history": list(getattr(trained.detector, "history", [])),
    }


def selection_score(calibration: Mapping[str, Any]) -> float | None:
    """What the champion is chosen by, on the calibration span: the mean of the two recalls and AUC-PR."""
    parts = [
        calibration["budgets"]["critical"]["best"]["recall"]["macro"],
        calibration["budgets"]["warning"]["best"]["recall"]["macro"],
        (calibration["auc_pr"] or {}).get("value"),
    ]
    return None if any(part is None for part in parts) else float(np.mean([float(part) for part in parts]))


def _asdict(struct: Any) -> dict[str, Any]:
    return {name: getattr(struct, name) for name in struct.__struct_fields__}
