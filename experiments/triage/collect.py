"""The tables of report.md, from results.csv: what was injected against the verdict and the kind, as alerts ended.

    .venv/bin/python experiments/triage/collect.py [FILE ...]

With several files writes them together as results.csv first.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

import pandas as pd

HERE: Final = Path(__file__).resolve().parent
NONE: Final = "no population alert"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="*", type=Path)
    files = parser.parse_args().files or [HERE / "results.csv"]
    rows = pd.concat([pd.read_csv(file) for file in files]).sort_values(["traffic", "injected", "seed"])
    if len(files) > 1:
        rows.to_csv(HERE / "results.csv", index=False)
    alone = rows["verdict_last"].isna() & (rows["injected"] == "none")
    rows = rows[~alone].fillna({"verdict_open": NONE, "verdict_last": NONE, "kind_last": NONE})
    for columns in (["verdict_open"], ["verdict_last"], ["kind_last"]):
        print(pd.crosstab(rows["injected"], [rows[name] for name in columns]), end="\n\n")
    print(pd.crosstab([rows["traffic"], rows["injected"]], rows["verdict_last"]))


if __name__ == "__main__":
    main()
