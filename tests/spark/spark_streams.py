"""The same events through Spark and through the single process: out of order, with duplicates, as JSON lines."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from seqdetect.bundle import export
from seqdetect.bundle.load import load
from seqdetect.bundle.schema import Parity, Threshold
from seqdetect.detector.compose import FEATURE_COUNT, POPULATION_COUNT, new_graph
from seqdetect.events import Tally
from seqdetect.score.engine import Engine
from seqdetect.score.writer import table
from seqdetect.sequence.features import FEATURES, SCORED

DISORDER_S = 15


def disordered(events: pa.Table, seed: int = 0) -> pa.Table:
    """``events`` with ids, arriving up to ``DISORDER_S`` seconds late; one in ten comes a second time soon after."""
    rng = np.random.default_rng(seed)
    rows = events.num_rows
    events = events.append_column("event_id", pa.array([f"event-{row}" for row in range(rows)]))
    due = pc.cast(events.column("timestamp"), pa.int64()).to_numpy() / 1e6 + rng.uniform(0, DISORDER_S, rows)
    again = np.flatnonzero(rng.random(rows) < 0.1)
    order = np.argsort(np.concatenate((due, due[again] + 0.01)), kind="stable")
    return events.take(pa.array(np.concatenate((np.arange(rows), again))[order]))


def lines(events: pa.Table) -> list[bytes]:
    """One JSON object per event."""
    rows = events.to_pylist()
    for row in rows:
        row["timestamp"] = row["timestamp"].isoformat()
    return [msgspec.json.encode(row) for row in rows]


def write(folder: Path, name: str, content: list[bytes], second: int) -> None:
    """A file of lines that appears whole; ``second`` orders it among the others, by its time of change."""
    folder.mkdir(parents=True, exist_ok=True)
    aside = folder / f".{name}"
    aside.write_bytes(b"".join(line + b"\n" for line in content))
    os.utime(aside, (1_780_000_000 + second, 1_780_000_000 + second))
    aside.rename(folder / name)


@dataclass(frozen=True)
class Alone:
    """What the single process makes of events: scores in the order of (tick, user), and its counts."""

    scores: pd.DataFrame
    tally: Tally


def alone(bundle: Path, *tables: pa.Table) -> Alone:
    """Push the tables; ticks that no event has closed are left open, as Spark leaves them."""
    tally = Tally()
    engine = Engine(load(bundle), tally)
    scored = [table(engine.push(events)).to_pandas() for events in tables]
    return Alone(_ordered(pd.concat(scored, ignore_index=True)), tally)


def scores(spark: object, folder: Path) -> pd.DataFrame:
    """What the job has written, in the same order; the same step twice would be there twice."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = spark.read.parquet(str(folder / "scores")).toPandas()  # type: ignore[attr-defined]
    found["timestamp"] = found["timestamp"].dt.tz_localize("UTC")
    return _ordered(found)


def _ordered(frame: pd.DataFrame) -> pd.DataFrame:
    frame = frame.sort_values(["timestamp", "user_id"], ignore_index=True)
    return frame.astype({"timestamp": "datetime64[us, UTC]"})


def bundle(path: Path) -> Path:
    """A bundle whose score hangs on every feature, on the population, and on all that the user did before."""
    graph = new_graph()
    known = graph.features.columns(0, SCORED)
    seen = graph.state("seen", np.zeros(1))
    now = known @ np.linspace(0.1, 1.0, SCORED)[:, None]
    everybody = graph.op("Reshape", graph.population, graph.integers([1, POPULATION_COUNT]))
    score = now + everybody @ np.linspace(0.5, 2.0, POPULATION_COUNT)[:, None] + seen * 0.1
    graph.update("seen", seen * 0.9 + now)
    model = graph.build(score=(score, 1), expected=(graph.features * 0.5, FEATURE_COUNT))
    neutral = np.array([feature.neutral for feature in FEATURES], np.float32)
    export.write_bundle(
        path,
        model,
        graph.initial,
        detector="handmade",
        key="user_id",
        tick_s=10.0,
        lateness_s=20.0,
        features=export.columns(neutral, np.ones(FEATURE_COUNT, bool)),
        thresholds={"warning": Threshold(30.0, 1.0, 0, 1.0, 0.95, 3.0, "")},
        kinds=["unknown"],
        calibration={},
        parity=Parity("none", 0, 0.0, 1e-5),
        provenance={"run_id": "test"},
    )
    return path
