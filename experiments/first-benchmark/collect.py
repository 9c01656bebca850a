"""Compares the jobs of this benchmark's two sweeps: results.csv, the table on standard output, and one
report per kind of traffic.

python train.py experiment=first_benchmark_servegen out=out/first-benchmark/servegen
python train.py experiment=first_benchmark_synthetic out=out/first-benchmark/synthetic
python experiments/first-benchmark/collect.py
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from seqdetect import benchmark, rundir

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
    """Write all of it."""
    parts = []
    for folder in sorted(RUNS.iterdir()):
        runs = benchmark.find([folder])
        metrics, champion = [run.metrics for run in runs], benchmark.champion(runs)
        if champion is None:
            raise SystemExit(f"no comparable job below {folder}")
        parts.append(benchmark.leaderboard(metrics).assign(traffic=folder.name))
        name, origin = str(champion.metrics["detector"]), champion.metrics["provenance"]
        print(f"{folder.name}: champion {name}")
        rundir.write_report(folder / rundir.REPORT, metrics, name, origin, champion.folder)
    table = pd.concat(parts, ignore_index=True)
    table.insert(0, "traffic", table.pop("traffic"))
    table.round(4).to_csv(HERE / "results.csv", index=False)
    print("\n".join(_markdown(table)))


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
    most = (
        float("inf") if name.startswith("false_alerts") else 1.0
    )  # Student's t knows no bounds, a share does
    return f"{row[name]:.2f}" + ("" if pd.isna(low) else f" [{max(low, 0):.2f}–{min(high, most):.2f}]")


if __name__ == "__main__":
    main()
