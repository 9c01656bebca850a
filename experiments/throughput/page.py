"""The marked blocks of ``report.md`` and its picture, from what a run measured."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from pinned import HERE, middle

matplotlib.use("Agg")
from matplotlib import pyplot as plt

Raw = dict[str, Any]
BLOCK = "8 MB"
MOST_ROWS = 1_024
"""Rows that the scorer gives to one graph call."""


def stages(raw: Raw) -> dict[str, float]:
    """Microseconds per event from JSON lines to alerts, by stage, as differences of whole runs."""
    found = raw["streams"]

    def each(name: str) -> float:
        return 1e6 * middle(one["cpu_s"] / one["events"] for one in found[name])

    decoded = min(
        1e6 * middle(one["cpu_s"][BLOCK][name] / one["events"] for one in found["decode"])
        for name in found["decode"][0]["cpu_s"][BLOCK]
    )
    a_tick = middle(one["steps"] for one in found["alerts"]) / _ticks(raw)
    graph = (
        1e6
        * a_step(raw, min(a_tick, MOST_ROWS))
        * middle(one["steps"] / one["events"] for one in found["alerts"])
    )
    return {
        "the fastest decoder alone": decoded,
        "rest of reading and checking": each("parse") - decoded,
        "order and features": each("jsonl") - each("parse"),
        "step graph": graph,
        "state, levels, causes, alerts": each("alerts") - each("jsonl") - graph,
    }


def _ticks(raw: Raw) -> float:
    """Ticks that the measured events fall into; 10 seconds each."""
    cases = raw["density"]["5000 20"]
    a_tick = middle(one["events"] / one["ticks"] for one in cases)
    return float(middle(one["events"] for one in raw["streams"]["alerts"]) / a_tick)


def a_step(raw: Raw, batch: float) -> float:
    """Seconds of the champion's graph per user and step in batches of this size, between those measured."""
    times = [one["seconds"] for one in raw["graphs"]["champion"]]
    sizes = [int(name.split()[1]) for name in times[0] if name.startswith("step ")]
    costs = [middle(one[f"step {size}"] / size for one in times) for size in sizes]
    return float(np.interp(np.log(batch), np.log(sizes), costs))


def draw(shares: dict[str, float]) -> None:
    """``stages.png``: microseconds of one event by stage, with their shares."""
    whole = sum(shares.values())
    figure, axes = plt.subplots(figsize=(8, 2.9), layout="constrained")
    names, values = list(shares), list(shares.values())
    bars = axes.barh(names, values, color="#33658a")
    axes.bar_label(
        bars, [f"{value:.2f} us, {100 * value / whole:.0f} %" for value in values], padding=4, fontsize=9
    )
    axes.invert_yaxis()
    axes.set_xlim(0, 1.3 * max(values))
    axes.set_xlabel("microseconds of CPU time per event, JSON lines to alerts")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(HERE / "stages.png", dpi=140)
    plt.close(figure)


def table(rows: Sequence[dict[str, str]]) -> str:
    """All rows as Markdown, value and reference with their units."""
    lines = ["| measure | value | reference | ratio | goal | met | note |", "|---|---|---|---|---|---|---|"]
    for one in rows:
        reference = f"{one['reference']}: {one['reference_value']}" if one["reference"] else ""
        cells = [
            one["measure"],
            f"{one['value']} {one['unit']}",
            reference,
            one["ratio"],
            one["goal"],
            one["met"],
            one["note"],
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def machine(raw: Raw) -> str:
    one = raw["machine"]
    first = "measures ran before it at real-time priority" if one["first"] else "no priority over it"
    load = ", ".join(f"{value:.1f}" for value in one["load"])
    return (
        f"{one['cpu']}, {one['cores']} cores shared with other work (load {load} at the end; {first}), core {one['core']}; "
        f"Python {one['python']}; commit {one['commit']}."
    )


def limits(raw: Raw, shares: dict[str, float]) -> str:
    """The bounds that the figures of this run imply."""
    whole = sum(shares.values())
    found = raw["graphs"]["champion"][0]
    copied = middle(one["copy_gb_s"] for one in raw["graphs"]["products"])
    per_event = middle(one["steps"] / one["events"] for one in raw["streams"]["alerts"])
    moved = 4 * found["state_bytes"] * per_event
    bound = {name: 1e3 / shares[name] for name in ("the fastest decoder alone", "step graph")}
    return "\n".join(
        [
            f"- Sum of the stages: {whole:.2f} us an event, {1e3 / whole:,.0f} thousand events a second.",
            f"- Decoding alone would allow {bound['the fastest decoder alone']:,.0f} thousand events a second, the step graph alone "
            f"{bound['step graph']:,.0f} thousand, both together "
            f"{1e3 / (shares['the fastest decoder alone'] + shares['step graph']):,.0f} thousand.",
            f"- Memory: a step reads and writes its {found['state_bytes']} bytes of state twice (gathered, scattered), "
            f"{moved:,.0f} bytes an event; at the {copied:.0f} GB/s of a plain copy that is {moved / copied / 1e3:.3f} us. "
            "Not the limit.",
        ]
    )


def functions(raw: Raw) -> str:
    """The profile as Markdown."""
    lines = ["| function | own time |", "|---|---|"]
    lines += [
        f"| `{name.replace('|', '/')}` | {100 * share:.1f} % |" for name, share in raw["profile"]["functions"]
    ]
    return "\n".join(lines)


def write(raw: Raw, rows: Sequence[dict[str, str]]) -> None:
    """Draw, and put every block in its place."""
    shares = stages(raw)
    draw(shares)
    blocks = {
        "table": table(rows),
        "machine": machine(raw),
        "limits": limits(raw, shares),
        "functions": functions(raw),
    }
    path = HERE / "report.md"
    text = path.read_text()
    for name, block in blocks.items():
        marked = re.compile(f"(<!-- {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        text = marked.sub(lambda match, block=block: match.group(1) + block + "\n" + match.group(2), text)
    path.write_text(text)
