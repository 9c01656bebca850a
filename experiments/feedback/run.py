"""Four weeks of service, verdicts and retraining, beside the same without verdicts and without retraining.

nice .venv/bin/python experiments/feedback/run.py 0 1 2     (seeds; each appends to results.csv)
"""

from __future__ import annotations

import csv
import json
import logging
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import torch
from analyst import verdicts
from habits import STRENGTHS, WEEK_US, WEEKS, traffic

from seqdetect import experiment
from seqdetect.attack.inject import Injector
from seqdetect.attack.library import library
from seqdetect.attack.strength import DAY
from seqdetect.bundle.load import load
from seqdetect.detector import Examples
from seqdetect.detector.adapted import Adapted
from seqdetect.detector.learned_evidence import LearnedEvidence
from seqdetect.detector.static_threshold import StaticThreshold
from seqdetect.events import Tally, chunks, iso
from seqdetect.exposure import Exposure
from seqdetect.feedback.contest import contest, scored
from seqdetect.feedback.labels import with_verdicts
from seqdetect.feedback.verdict import Verdict
from seqdetect.metrics.episodes import best_threshold, false_alert_episodes
from seqdetect.metrics.grid import make_grid
from seqdetect.metrics.recall import attack_peaks
from seqdetect.metrics.ticks import Ticks
from seqdetect.prepare import Data, prepare
from seqdetect.score.writer import table
from seqdetect.scorer import Model, Scorer, score_stream
from seqdetect.sequence.split import Split

HERE = Path(__file__).parent
RESULTS = HERE / "results.csv"
USERS, MEAN_RATE, PER_USER_DAY = 20, 0.008, 0.05
TICK_S = 300.0
BUDGETS = {"critical": 0.5, "warning": 2.0}
"""False alerts per user-week: few, so that the habits break them."""
ARMS = ("frozen", "feedback", "retrained", "by_day")
HEAD = {"rounds": 4, "epochs": 8, "hidden": [48, 24]}
log = logging.getLogger("feedback")


@dataclass
class Window:
    """A table as a source."""

    table: pa.Table
    licence = reference = "made by habits.py"

    def read(self, tally: Tally):
        tally.read += self.table.num_rows
        yield self.table

    def incidents(self) -> None:
        return None


class Last:
    """A sink that keeps the last state of each alert."""

    def __init__(self) -> None:
        self.states: dict[str, dict[str, Any]] = {}

    def send(self, changes: Sequence[dict[str, Any]]) -> None:
        self.states.update((one["alert_id"], one) for one in changes)

    def close(self) -> None:
        pass


class ByDay(Exposure):
    """Examples in which nobody judged anything, calibrated by days as if somebody had."""

    def examples(self, data: Data, rows: Callable[[Data], np.ndarray], seed: int) -> Examples:
        found = super().examples(data, rows, seed)
        return replace(found, harmless=np.zeros(len(found.kind)))


class Weeks:
    """One seed's traffic, and what is done with it week by week."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.seed, self.folder = seed, folder
        self.table, self.truth = traffic(USERS, seed, MEAN_RATE, PER_USER_DAY)
        first = int(self.table.column("timestamp").cast(pa.int64())[0].as_py())
        self.first = first // DAY * DAY
        self.injector = Injector(library(), per_user_day=4.0, clean=0.3)

    def bounds(self, week: int) -> tuple[int, int]:
        """[start, end) of a week, microseconds; week 0 is the quiet one."""
        return self.first + week * WEEK_US, self.first + (week + 1) * WEEK_US

    def events(self, first: int, last: int) -> pa.Table:
        """Those of the weeks ``first`` to ``last``."""
        times = self.table.column("timestamp").cast(pa.int64())
        start, end = self.bounds(first)[0], self.bounds(last)[1]
        return self.table.filter(pc.and_(pc.greater_equal(times, start), pc.less(times, end)))

    def data(self, last: int, said: list[Verdict]) -> Data:
        """What is trained on after week ``last``: it and the one before, the last two and a half days held back."""
        begin = max(last - 1, 0)
        end = self.bounds(last)[1]
        held, calibration = (2.5, 4.0) if last else (0.5, 2.5)
        split = Split(
            train_end=iso(int(end - (held + calibration) * DAY)), calibration_end=iso(int(end - held * DAY))
        )
        return with_verdicts(prepare(Window(self.events(begin, last)), split, TICK_S, None, self.seed), said)

    def train(self, data: Data, path: Path, exposure: type[Exposure] = Exposure) -> None:
        """A bundle in ``path``."""
        detector = LearnedEvidence(Adapted(StaticThreshold()), head=HEAD, folds=2)
        shown = exposure(self.injector, copies=1)
        trained = experiment.fit("learned_evidence", detector, data, self.seed, BUDGETS, shown)
        experiment.write_bundle(trained, data, path, TICK_S, {"seed": self.seed})

    def serve(self, week: int, path: Path) -> tuple[pd.DataFrame, list[dict[str, Any]]]:
        """Scores of the week and the alerts that began in it, as they ended; the week before warms the scorer up."""
        parts: list[pa.Table] = []
        last = Last()
        scorer = Scorer(
            [Model("champion", load(path))], Tally(), write=lambda _, one: parts.append(table(one))
        )
        score_stream(scorer, chunks(self.events(week - 1, week)), [last])
        scores = pa.concat_tables(parts).select(["user_id", "timestamp", "score"])
        frame = scores.to_pandas().assign(timestamp=scores.column("timestamp").cast(pa.int64()).to_numpy())
        start, end = self.bounds(week)
        alerts = [one for one in last.states.values() if one["start"] >= iso(start)]
        return frame[(frame["timestamp"] >= start) & (frame["timestamp"] < end)], alerts

    def probe(self, week: int) -> tuple[pa.Table, pd.DataFrame]:
        """A copy of the week, and of the one before, with many more attacks in it: what recall is measured on."""
        injector = Injector(library(), per_user_day=1.5, service_per_day=0.0, strengths=STRENGTHS)
        rng = np.random.default_rng([self.seed, week, 77])
        return injector.inject(self.events(week - 1, week), *self.bounds(week), rng)

    def measure(self, week: int, path: Path, scores: pd.DataFrame) -> dict[str, float]:
        """False alerts in the week, by the truth, and recall in its copy."""
        bundle, span = load(path), self.bounds(week)
        grid = make_grid(scores, self.truth, span, [])
        table, attacks = self.probe(week)
        peaks = attack_peaks(Ticks.of(scored(bundle, table)), attacks)
        weeks = grid.exposure_user_weeks().sum()
        row: dict[str, float] = {"user_weeks": weeks, "attacks": len(peaks.rows)}
        same = best_threshold(grid, BUDGETS["warning"])
        for name, threshold in {
            **{tier: one.value for tier, one in bundle.metadata.thresholds.items()},
            "same": same,
        }.items():
            row[f"false_{name}"] = false_alert_episodes(grid, threshold).sum() / weeks
            row[f"recall_{name}"] = float(peaks.found(threshold).mean())
        return row


def run(seed: int) -> None:
    """All arms over all weeks."""
    with tempfile.TemporaryDirectory() as name:
        weeks = Weeks(seed, Path(name))
        log.info(
            "seed %d: %d events, %s", seed, weeks.table.num_rows, weeks.truth["kind"].value_counts().to_dict()
        )
        first = Path(name) / "first.onnx"
        weeks.train(weeks.data(0, []), first)
        for arm in ARMS:
            champion = Path(name) / f"{arm}.onnx"
            shutil.copy(first, champion)
            said: list[Verdict] = []
            for week in range(1, WEEKS):
                started = time.monotonic()
                scores, alerts = weeks.serve(week, champion)
                row = {"seed": seed, "arm": arm, "week": week, "alerts": len(alerts)}
                row |= weeks.measure(week, champion, scores)
                if arm == "feedback":
                    said += verdicts(alerts, weeks.truth, np.random.default_rng([seed, week]))
                    row["verdicts"] = len(said)
                if arm != "frozen" and week < WEEKS - 1:
                    row |= advance(weeks, week, said, champion, ByDay if arm == "by_day" else Exposure)
                log.info("%s (%.0f s)", json.dumps(row, default=str), time.monotonic() - started)
                write(row)


def advance(
    weeks: Weeks, week: int, said: list[Verdict], champion: Path, exposure: type[Exposure]
) -> dict[str, Any]:
    """Train on what is known after ``week`` and put the result in the champion's place if it is better."""
    challenger = champion.with_name("challenger.onnx")
    data = weeks.data(week, said)
    weeks.train(data, challenger, exposure)
    found = contest(champion, challenger, data, weeks.injector, weeks.seed)
    if found["promoted"]:
        shutil.copy(challenger, champion)
    log.info("%s", json.dumps(found))
    return {"promoted": found["promoted"], "reason": found["reason"]}


FIELDS = ["seed", "arm", "week", "user_weeks", "attacks", "false_warning", "recall_warning", "false_critical",
          "recall_critical", "false_same", "recall_same", "alerts", "verdicts", "promoted", "reason"]  # fmt: skip


def write(row: dict[str, Any]) -> None:
    """Add a row to the results."""
    new = not RESULTS.exists()
    with open(RESULTS, "a", newline="") as file:
        out = csv.DictWriter(file, FIELDS, lineterminator="\n")
        if new:
            out.writeheader()
        out.writerow({name: f"{v:.4f}" if isinstance(v := row.get(name), float) else v for name in FIELDS})


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s", datefmt="%H:%M:%S")
    torch.set_num_threads(1)
    for one in sys.argv[1:]:
        run(int(one))
