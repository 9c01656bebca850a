"""Finished sweeps as tables and pictures.

    python experiments/detection/collect.py OUT [OUT2 ...]

Each OUT holds one folder per job (detector, seed); jobs are parted by traffic. Writes beside this file
results.csv      a row per detector: means over seeds with Student's intervals; delays and benign kinds pooled
results_kinds.csv   recall by kind and strength, pooled over seeds
results_paired.csv  champion less peer, over the seeds that both ran on: seeds differ more than detectors do
recall.png, kinds.png
and prints the tables of report.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from delays import blatant, common, delays
from draw import draw_kinds, draw_recall
from scorers import TIERS, Scorer, Traffic, by_traffic, selection, with_interval
from tables import print_tables

from seqdetect import benchmark

HERE: Final = Path(__file__).resolve().parent
LEARNED: Final = "learned_evidence"
"""Detectors whose names begin so are this experiment's own; all others are peers."""
POST_PROCESSED: Final = "_adapted"
PLAIN: Final = ("static_threshold", "ewma", "rolling_zscore")
"""Delays are compared over incidents that all of these found, too."""
RIVALS: Final = (
    *(f"recall_{tier}_best" for tier in TIERS),
    *(f"recall_{tier}_best_without_service_wide" for tier in TIERS),
    *(f"recall_{tier}_best_without_drip_offhours" for tier in TIERS),
    "auc_pr",
    "vus_pr",
)
"""Figures by each of which a best peer is named: chosen on test, so optimistic."""
EVERY: Final = "all"


def main() -> None:
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("out", nargs="+", type=Path)
    traffics = by_traffic(benchmark.find(arguments.parse_args().out), LEARNED)
    results = pd.DataFrame([row for one in traffics for row in result_rows(one)])
    kinds = pd.DataFrame([row for one in traffics for row in kind_rows(one)])
    paired = pd.DataFrame([row for one in traffics for row in paired_rows(one)])
    for name, table in {"results": results, "results_kinds": kinds, "results_paired": paired}.items():
        table.round(4).to_csv(HERE / f"{name}.csv", index=False)
    draw_recall(HERE / "recall.png", traffics)
    draw_kinds(HERE / "kinds.png", traffics, kinds)
    print_tables(results, kinds, paired)


def result_rows(traffic: Traffic) -> Iterator[dict[str, Any]]:
    """A row per scorer."""
    rivals = {figure: best_on_test(traffic, figure) for figure in RIVALS}
    times = {one.name: delays(one.jobs) for one in traffic.scorers if one.part == "test"}
    plain = [times[name] for name in PLAIN if name in times]
    for scorer in traffic.scorers:
        row: dict[str, Any] = {
            "traffic": traffic.name,
            "detector": scorer.name,
            "role": role(traffic, scorer),
            "post_processed": scorer.name.endswith(POST_PROCESSED),
            "research_only": scorer.part == "test" and scorer.jobs[0].metrics["research_only"] is not None,
            "best_peer_on_test_by": " ".join(figure for figure in RIVALS if rivals[figure] == scorer.name),
            "seeds": len(scorer.jobs),
            "selection": selection(scorer),
        }
        row |= with_interval(scorer.by_seed())
        own = times.get(scorer.name)
        if own is not None and len(own):
            row |= (common(own, plain) if len(plain) == len(PLAIN) else {}) | blatant(own)
        yield row | benign(scorer) | cost(scorer)


def role(traffic: Traffic, scorer: Scorer) -> str:
    """Champion and best peer are chosen on the calibration span alone."""
    roles = {
        "champion": scorer.name == traffic.champion,
        "best peer": scorer.name in traffic.peers[:1],
        "random": scorer.part == "test_random",
    }
    return ", ".join(name for name, held in roles.items() if held)


def best_on_test(traffic: Traffic, figure: str) -> str | None:
    """The peer of the highest mean ``figure``, the first by selection score among equals."""
    means = {name: traffic.scorer(name).by_seed()[figure].mean() for name in traffic.peers}
    known = {name: mean for name, mean in means.items() if not np.isnan(mean)}
    return max(known, key=lambda name: known[name]) if known else None


def benign(scorer: Scorer) -> dict[str, float | int]:
    """Share of each benign kind's rows (a user each) that alerted at the shipped thresholds, pooled over seeds."""
    row: dict[str, float | int] = {}
    for tier in TIERS:
        points = scorer.points(tier, "shipped")
        for kind in sorted({kind for point in points for kind in point["benign"]}):
            cells = [point["benign"][kind] for point in points if kind in point["benign"]]
            rows = sum(cell["rows"] for cell in cells)
            row[f"{kind}_rows"] = rows
            row[f"{kind}_{tier}_shipped"] = sum(cell["alerted"] for cell in cells) / rows
    return row


def cost(scorer: Scorer) -> dict[str, float | None]:
    """Microseconds per step (all users in one replay), bytes of state per user, seconds to fit."""
    if scorer.part != "test":
        return {}
    return {
        "us_per_step": scorer.mean("timing", "us_per_step"),
        "state_bytes_per_user": float(scorer.jobs[0].metrics["state_bytes_per_user"]),
        "fit_s": scorer.mean("timing", "fit_s"),
    }


def kind_rows(traffic: Traffic) -> Iterator[dict[str, Any]]:
    """Recall by kind and strength, both also ``EVERY``, at each tier's thresholds, pooled over seeds."""
    for scorer in traffic.scorers:
        for tier in TIERS:
            for threshold in ("best", "shipped"):
                cells = _cells(scorer, tier, threshold)
                if cells.empty:
                    continue
                where = {"traffic": traffic.name, "detector": scorer.name, "tier": tier}
                for row in _with_margins(cells).to_dict("records"):
                    yield where | {"threshold": threshold} | {str(name): value for name, value in row.items()}


def _cells(scorer: Scorer, tier: str, threshold: str) -> pd.DataFrame:
    """kind, strength, found, rows; one line per seed."""
    lines = []
    for point in scorer.points(tier, threshold):
        recall = point["recall"]
        for kind, cell in recall["kinds"].items():
            strengths = recall.get("strengths", {}).get(kind, {})
            for strength, one in {EVERY: cell, **strengths}.items():
                lines.append((kind, strength, one["found"], one["rows"]))
    return pd.DataFrame(lines, columns=["kind", "strength", "found", "rows"])


def _with_margins(cells: pd.DataFrame) -> pd.DataFrame:
    """Pooled over seeds; kind ``EVERY`` is the mean over kinds of their pooled recalls, of one strength or all."""
    pooled = cells.groupby(["kind", "strength"], as_index=False)[["found", "rows"]].sum()
    pooled["recall"] = pooled["found"] / pooled["rows"]
    over = pooled.groupby("strength", as_index=False).agg({"found": "sum", "rows": "sum", "recall": "mean"})
    return pd.concat([pooled, over.assign(kind=EVERY)], ignore_index=True)


def paired_rows(traffic: Traffic) -> Iterator[dict[str, Any]]:
    """Champion less best peer in every figure, and less the peer that is best on test in that figure."""
    if traffic.champion is None:
        return
    own = traffic.scorer(traffic.champion).by_seed()
    for figure in RIVALS:
        chosen = {"calibration": next(iter(traffic.peers), None), "test": best_on_test(traffic, figure)}
        for span, peer in chosen.items():
            if peer is None or peer == traffic.champion:
                continue
            other = traffic.scorer(peer).by_seed()[figure]
            pair = pd.DataFrame({"champion": own[figure], "peer": other}).dropna()
            ahead = pair["champion"] - pair["peer"]
            yield {
                "traffic": traffic.name,
                "figure": figure,
                "champion": traffic.champion,
                "peer": peer,
                "peer_chosen_on": span,
                "seeds": len(pair),
                "champion_mean": pair["champion"].mean(),
                "peer_mean": pair["peer"].mean(),
                **with_interval(ahead.to_frame("difference")),
                "seeds_ahead": int((ahead > 0).sum()),
            }


if __name__ == "__main__":
    main()
