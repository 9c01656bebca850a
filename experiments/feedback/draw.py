"""Tables and the plot of report.md, from results.csv.

.venv/bin/python experiments/feedback/draw.py
"""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from seqdetect.metrics.bootstrap import seeds_interval

HERE = Path(__file__).parent
ARMS = {
    "frozen": ("never retrained", "tab:gray"),
    "retrained": ("retrained without verdicts", "tab:orange"),
    "by_day": ("the same, calibrated by days", "tab:green"),
    "feedback": ("retrained with verdicts", "tab:blue"),
}
MEASURES = {
    "false_warning": "false alerts per user-week",
    "recall_warning": "attacks found (share of rows)",
    "recall_same": "attacks found at 2 false alerts per user-week",
}


def main() -> None:
    """Print the tables, draw the plot."""
    rows = pd.read_csv(HERE / "results.csv")
    figure, axes = plt.subplots(1, len(MEASURES), figsize=(12, 3.6), constrained_layout=True)
    for axis, (name, words) in zip(axes, MEASURES.items(), strict=True):
        print(f"\n{words}\n| arm | week 1 | week 2 | week 3 | week 4 |\n|---|---|---|---|---|")
        for place, (arm, (label, color)) in enumerate(ARMS.items()):
            table = rows[rows["arm"] == arm].pivot_table(name, "seed", "week")
            mean, weeks = table.mean(), np.array(table.columns)
            intervals = [seeds_interval(table[week].dropna()) for week in weeks]
            cells = [f"{m:.2f} ({a:.2f} to {b:.2f})" for m, (a, b) in zip(mean, intervals, strict=True)]
            print(f"| {label} | {' | '.join(cells)} |")
            axis.plot(weeks + 0.06 * (place - 1), mean, "o-", color=color, label=label)
            for seed in table.index:
                axis.plot(weeks + 0.06 * (place - 1), table.loc[seed], ".", color=color, alpha=0.4)
        axis.set(title=words, xlabel="week", xticks=[1, 2, 3, 4])
        axis.set_ylim(bottom=0)
        axis.grid(alpha=0.3)
    axes[0].axhline(2.0, color="black", linestyle=":", linewidth=1)
    axes[0].legend(fontsize=8)
    figure.savefig(HERE / "weeks.png", dpi=110)
    paired(rows)


def paired(rows: pd.DataFrame) -> None:
    """Differences over the same seeds: week 4 against week 1, and against the other arms in weeks 2 to 4."""
    print("\n| difference | false alerts per user-week | attacks found |\n|---|---|---|")
    own = rows[rows["arm"] == "feedback"]
    first, last = (own[own["week"] == week].set_index("seed") for week in (1, 4))
    _line("with verdicts, week 4 less week 1", last, first)
    later = rows[rows["week"] > 1].groupby(["arm", "seed"])[["false_warning", "recall_warning"]].mean()
    for arm in ("frozen", "retrained", "by_day"):
        _line(
            f"with verdicts less {ARMS[arm][0]}, mean of weeks 2 to 4", later.loc["feedback"], later.loc[arm]
        )


def _line(name: str, one: pd.DataFrame, other: pd.DataFrame) -> None:
    cells = []
    for measure in ("false_warning", "recall_warning"):
        difference = (one[measure] - other[measure]).dropna()
        low, high = seeds_interval(difference)
        cells.append(f"{difference.mean():+.2f} ({low:+.2f} to {high:+.2f})")
    print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
