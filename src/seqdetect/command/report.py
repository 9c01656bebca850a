"""``seqdetect report``: a benchmark report of finished runs."""

from __future__ import annotations

import argparse
from pathlib import Path

from seqdetect import benchmark, rundir


def run(options: argparse.Namespace) -> None:
    """Compare the runs and write the page."""
    runs = benchmark.find([Path(folder) for folder in options.folders])
    champion = benchmark.champion(runs)
    shown = champion or runs[0]
    name = None if champion is None else str(champion.metrics["detector"])
    rundir.write_report(
        Path(options.out), [run.metrics for run in runs], name, shown.metrics["provenance"], shown.folder
    )
    print(options.out)
