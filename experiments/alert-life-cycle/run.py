"""How often do alerts flap, by how far below the threshold a step may be that holds one open?

    .venv/bin/python experiments/alert-life-cycle/run.py --run out/demo

Goes over the scores of a training run, user by user, with the rules of ``alert/lifecycle.py`` and without surges, and
writes ``results.csv``. The last line counts false-alert episodes as ``metrics/episodes.py`` merges them, over all
minutes: with a cooldown of an hour and no hysteresis there are as many alerts.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from seqdetect.alert.policy import Policy
from seqdetect.bundle.load import load
from seqdetect.metrics.episodes import MERGED_GAP_MINUTES

HERE = Path(__file__).parent
HYSTERESIS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 1.0)
COOLDOWN_S = (0.0, 3000.0, 3600.0)
TICK_S = 10.0
CURRENT_MIN = 10


@dataclass
class Tally:
    """What one user's alerts, or all users', came to."""

    alerts: int = 0
    reopened: int = 0
    open_s: float = 0.0

    def add(self, times: Sequence[float], hot: Sequence[bool], policy: Policy) -> None:
        """Go over one user's steps that are hot or hold an alert open, in order; ``times`` are seconds."""
        start, held, until = 0.0, -np.inf, -np.inf
        for time, is_hot in zip(times, hot, strict=True):
            if held + policy.quiet_s < time:
                if not is_hot:
                    continue
                self.open_s += max(0.0, held + policy.quiet_s - start)
                until = held + policy.quiet_s + TICK_S + policy.cooldown_s
                self.reopened += time <= until
                self.alerts += time > until
                start = time
            held = time
        self.open_s += max(0.0, held + policy.quiet_s - start)


def episodes(times: np.ndarray) -> int:
    """Stretches of alert minutes with gaps of at most an hour; ``times`` are one user's hot steps, seconds."""
    minutes = np.unique((np.ceil(times / 60).astype(int) - 1)[:, None] + np.arange(CURRENT_MIN))
    return int(len(minutes) > 0) + int((np.diff(minutes) > MERGED_GAP_MINUTES + 1).sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, default=Path("out/demo"))
    run = parser.parse_args().run
    warning = load(run / "bundle.onnx").metadata.thresholds["warning"].value
    table = pq.read_table(run / "scores.parquet").sort_by(
        [("user_id", "ascending"), ("timestamp", "ascending")]
    )
    seconds = table["timestamp"].cast("int64").to_numpy() / 1e6
    score = table["score"].to_numpy()
    user = table["user_id"].combine_chunks().dictionary_encode().indices.to_numpy()
    rows = [np.flatnonzero(user == one) for one in np.unique(user)]
    found = []
    for cooldown in COOLDOWN_S:
        for hysteresis in HYSTERESIS:
            tally, policy = Tally(), Policy(hysteresis=hysteresis, cooldown_s=cooldown)
            for own in rows:
                own = own[score[own] >= warning - hysteresis]
                tally.add(seconds[own].tolist(), (score[own] >= warning).tolist(), policy)
            found.append([cooldown, hysteresis, tally.alerts, tally.reopened, round(tally.open_s / 3600, 1)])
    with open(HERE / "results.csv", "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["cooldown_s", "hysteresis", "alerts", "reopened", "open_user_hours"])
        writer.writerows(found)
    for line in found:
        print(*line, sep="\t")
    print("episodes", sum(episodes(seconds[own[score[own] >= warning]]) for own in rows))


if __name__ == "__main__":
    main()
