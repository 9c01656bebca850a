"""The table of figures in serving/README.md is that of the service."""

from __future__ import annotations

import re
from pathlib import Path

from exported import names


def test_every_figure_is_explained_and_no_other():
    section = Path("serving/README.md").read_text().split("\n## Figures\n")[1].split("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    explained = {name for row in rows for name in re.findall(r"`(\w+)`", row.split("|")[1])}
    explained |= set(re.findall(r"`(top_\w+)`", section))
    exported = {re.sub("^seqdetect_|_(bucket|count|sum)$", "", name) for name in names()}
    assert explained == {name for name in exported if not name.startswith("process_")}
