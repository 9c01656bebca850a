"""Puts the two sweeps of this benchmark into results.csv and table.md.

python train.py experiment=first_benchmark_servegen out=out/first-benchmark/servegen
python train.py experiment=first_benchmark_synthetic out=out/first-benchmark/synthetic
python experiments/first-benchmark/collect.py
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

HERE = Path(__file__).parent
RUNS = HERE.parents[1] / "out" / "first-benchmark"
COLUMNS = {
    "recall_critical_best": "recall at 1 / user-week",
    "recall_warning_best": "recall at 1 / user-day",
    "auc_pr": "AUC-PR",
    "vus_pr": "VUS-PR",
    "recall_critical_shipped": "shipped critical: recall",
    "false_alerts_critical_shipped": "false alerts / user-week",
}


def main() -> None:
    """Write both files."""
    parts = [
        pd.read_csv(path).assign(traffic=path.parent.name) for path in sorted(RUNS.glob("*/results.csv"))
    ]
    table = pd.concat(parts, ignore_index=True)
    table.insert(0, "traffic", table.pop("traffic"))
    table.round(4).to_csv(HERE / "results.csv", index=False)
    (HERE / "table.md").write_text("\n".join(_markdown(table)) + "\n")


def _markdown(table: pd.DataFrame) -> list[str]:
    lines = []
    for traffic, part in table.groupby("traffic", sort=False):
        lines += [f"### {traffic}", "", f"| detector | {' | '.join(COLUMNS.values())} | fit s |"]
        lines.append("|---" * (len(COLUMNS) + 2) + "|")
        for row in part.sort_values("recall_critical_best", ascending=False).to_dict("records"):
            cells = [_cell(row, name) for name in COLUMNS]
            fit = "" if pd.isna(row["fit_s"]) else f"{row['fit_s']:.0f}"
            lines.append(f"| {row['detector']} | {' | '.join(cells)} | {fit} |")
        lines.append("")
    return lines


def _cell(row: dict[str, float], name: str) -> str:
    if pd.isna(row[name]):
        return ""
    low, high = row.get(f"{name}_low"), row.get(f"{name}_high")
    return f"{row[name]:.2f}" + ("" if pd.isna(low) else f" [{max(low, 0):.2f}–{high:.2f}]")


if __name__ == "__main__":
    main()
