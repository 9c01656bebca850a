"""Steps to scores, in Spark's state per group: the state rows of its users."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import msgspec
import numpy as np
import pandas as pd
from pyspark import SparkFiles
from pyspark.sql.streaming.stateful_processor import StatefulProcessor, StatefulProcessorHandle

from seqdetect.bundle.load import load
from seqdetect.score.engine import Judge
from seqdetect.score.stepper import Stepper
from seqdetect.score.writer import table
from seqdetect.sequence.features import Steps
from seqdetect.sequence.requests import Keys
from seqdetect.sequence.stream import History
from seqdetect_spark.featuring import STEP

SCORES = "user_id string, timestamp timestamp, score double, level string, top_feature string"
MEMORY = "users string, batch long, state binary"
"""``state``: float32 rows [users, S]; ``batch``: the last one that was scored."""


class Scoring(StatefulProcessor):
    """The bundle at work on one group; ``bundle`` is the name of a file that the job hands to all workers."""

    def __init__(self, bundle: str, thresholds: tuple[tuple[str, float], ...]) -> None:
        self.bundle = bundle
        self.thresholds = thresholds

    def init(self, handle: StatefulProcessorHandle) -> None:
        self.memory = handle.getValueState("memory", MEMORY)

    def handleInputRows(  # noqa: N802
        self, key: Any, rows: Iterator[pd.DataFrame], timerValues: Any
    ) -> Iterator[pd.DataFrame]:
        judge = _judge(SparkFiles.get(self.bundle), self.thresholds)
        known, last, state = self.memory.get() or ("[]", -1, b"")
        keys = Keys(msgspec.json.decode(known, type=list[str]))
        found = [row for frame in rows for row in frame.itertuples(index=False)]
        new = sorted((row for row in found if row.batch > last), key=lambda row: row.batch)
        if not new:
            return
        steps = np.concatenate([rows_of(row.users, row.steps, keys) for row in new])
        width = len(judge.stepper.initial)
        judge.stepper = Stepper(judge.stepper.session, judge.stepper.initial)
        judge.stepper.restore(np.frombuffer(state, np.float32).reshape(-1, width))
        scored = judge.score(history(steps), keys.names)
        names = msgspec.json.encode(keys.names).decode()
        self.memory.update((names, int(new[-1].batch), judge.stepper.state[: len(keys)].tobytes()))
        yield table(scored).to_pandas()


@cache
def _judge(path: str, thresholds: tuple[tuple[str, float], ...]) -> Judge:
    """The bundle is opened once per Python worker."""
    return Judge(load(path), dict(thresholds))


def rows_of(users: str, steps: bytes, keys: Keys) -> np.ndarray:
    """``STEP`` records whose field ``user`` is a row in ``keys``, which new users enter."""
    out = np.frombuffer(steps, STEP).copy()
    out["user"] = keys.rows(msgspec.json.decode(users, type=list[str]))[out["user"]]
    return out


def history(steps: np.ndarray) -> History:
    """``STEP`` records in the order of ticks as the history that the bundle is run over."""
    ticks, first = np.unique(steps["tick"], return_index=True)
    columns = (np.ascontiguousarray(steps[name]) for name in ("tick", "user", "features", "tokens"))
    return History(Steps(*columns), ticks, steps["population"][first])
