"""The result frames as Markdown tables on standard output."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import pandas as pd

RECALL: Final = ("recall at 1 / user-week", "recall at 1 / user-day")
TIERS: Final = ("critical", "warning")
STRENGTHS: Final = ("blatant", "strong", "moderate", "subtle", "all")
TABLES: Final[Mapping[str, Mapping[str, str]]] = {
    "Ranking: best threshold within the budget on test; selection is on calibration": {
        "selection": "selection",
        "recall_critical_best": RECALL[0],
        "recall_warning_best": RECALL[1],
        "auc_pr": "AUC-PR",
        "vus_pr": "VUS-PR",
    },
    "The same recall without some kinds": {
        "recall_critical_best_without_service_wide": f"{RECALL[0]}, not service-wide",
        "recall_warning_best_without_service_wide": f"{RECALL[1]}, not service-wide",
        "recall_critical_best_without_drip_offhours": f"{RECALL[0]}, no drip, offhours",
        "recall_warning_best_without_drip_offhours": f"{RECALL[1]}, no drip, offhours",
    },
    "As shipped: thresholds set on calibration": {
        "recall_critical_shipped": "critical: recall",
        "false_alerts_critical_shipped": "false alerts / user-week",
        "false_alerts_critical_over_budget": "of the budget",
        "recall_warning_shipped": "warning: recall",
        "false_alerts_warning_shipped": "false alerts / user-week",
        "false_alerts_warning_over_budget": "of the budget",
    },
    "Seconds from an incident's start to the alert: best critical threshold, median, pooled over seeds": {
        "common_found": "rows found by it and all plain peers",
        "common_from_start_median_s": "s",
        "common_fastest_plain_from_start_median_s": "s, fastest plain peer",
        "blatant_flood_rows": "blatant floods",
        "blatant_flood_best_found": "found",
        "blatant_flood_best_from_start_median_s": "s",
        "blatant_wallet_rows": "blatant wallets",
        "blatant_wallet_best_found": "found",
        "blatant_wallet_best_from_start_median_s": "s",
    },
    "Share of benign rows that alerted as shipped, pooled over seeds": {
        f"benign_{kind}_{part}": f"{kind.replace('_', ' ')}: {part.removesuffix('_shipped')}"
        for kind in ("campaign", "onboarding", "migration", "batch_job")
        for part in ("rows", "critical_shipped", "warning_shipped")
    },
    "Cost": {"us_per_step": "us / step", "state_bytes_per_user": "state, bytes / user", "fit_s": "fit, s"},
}
WHOLE: Final = ("_rows", "_found", "_s", "us_per_step", "state_bytes_per_user")
"""Columns that end so are printed without decimals."""


def print_tables(results: pd.DataFrame, kinds: pd.DataFrame, paired: pd.DataFrame) -> None:
    """All tables, traffic by traffic."""
    for traffic, part in results.groupby("traffic", sort=False):
        print(f"\n## {traffic}\n\n{int(part['seeds'].max())} seeds; brackets: 95 % over seeds (Student's t)")
        for title, columns in TABLES.items():
            _print(title, {"detector": "detector"} | dict(columns), part.assign(detector=_named(part)))
        if len(paired):
            _print_paired(paired[paired["traffic"] == traffic])
        shown = part[part["role"].ne("")]["detector"]
        _print_kinds(kinds[(kinds["traffic"] == traffic) & kinds["detector"].isin(shown)], list(shown))


def _named(part: pd.DataFrame) -> list[str]:
    """Detectors' names with what a reader must know of each."""
    names, most = [], int(part["seeds"].max())
    for row in part.to_dict("records"):
        notes = [row["role"]] if row["role"] not in ("", "random") else []
        remarks = {
            "post-processed": row["post_processed"],
            "research only": row["research_only"],
            f"{row['seeds']} of {most} seeds": row["seeds"] < most,
        }
        notes += [remark for remark, true in remarks.items() if true]
        names.append(f"{row['detector']} ({', '.join(notes)})" if notes else str(row["detector"]))
    return names


def _print(title: str, columns: Mapping[str, str], table: pd.DataFrame) -> None:
    held = {name: head for name, head in columns.items() if name in table and table[name].notna().any()}
    print(f"\n### {title}\n\n| {' | '.join(held.values())} |\n{'|---' * len(held)}|")
    for row in table.to_dict("records"):
        print(
            f"| {' | '.join(_cell({str(key): value for key, value in row.items()}, name) for name in held)} |"
        )


def _cell(row: Mapping[str, Any], name: str) -> str:
    value = row[name]
    if isinstance(value, str):
        return value
    if pd.isna(value):
        return ""
    if name.endswith(WHOLE):
        return f"{value:.0f}"
    low, high = row.get(f"{name}_low"), row.get(f"{name}_high")
    if low is None or pd.isna(low) or high is None:
        return f"{value:.2f}"
    if name == "difference":
        return f"{value:+.2f} [{low:+.2f} to {high:+.2f}]"
    # Student's t knows no bounds, a share does
    most = float("inf") if name.startswith("false_alerts") else 1.0
    return f"{value:.2f} [{max(low, 0):.2f}–{min(high, most):.2f}]"


def _print_paired(paired: pd.DataFrame) -> None:
    columns = ("figure", "peer", "peer_chosen_on", "champion_mean", "peer_mean", "difference")
    heads = {name: name.replace("_", " ") for name in columns}
    table = paired.assign(
        ahead=[f"{a} of {n}" for a, n in zip(paired["seeds_ahead"], paired["seeds"], strict=True)]
    )
    title = "Champion less peer, seed by seed; a peer chosen on test is flattered"
    _print(title, heads | {"ahead": "seeds ahead"}, table)


def _print_kinds(kinds: pd.DataFrame, detectors: list[str]) -> None:
    """Best-threshold recall, critical / warning, per kind (lines) and strength, one table per detector."""
    best = kinds[kinds["threshold"] == "best"]
    for detector in detectors:
        own = best[best["detector"] == detector].set_index(["tier", "kind", "strength"])
        names = sorted(set(own.index.get_level_values("kind")) - {"all"})
        lines = [
            {
                "kind": "mean of kinds" if kind == "all" else kind,
                "rows": str(own.loc[("critical", kind, "all"), "rows"]),
            }
            | {strength: _both(own, kind, strength) for strength in STRENGTHS}
            for kind in [*names, "all"]
        ]
        heads = {name: name for name in ("kind", "rows", *STRENGTHS)}
        _print(f"{detector}: recall at 1 / user-week, at 1 / user-day", heads, pd.DataFrame(lines))


def _both(own: pd.DataFrame, kind: str, strength: str) -> str | None:
    if ("critical", kind, strength) not in own.index:
        return None
    recall = own["recall"].to_dict()
    return ", ".join(f"{recall[tier, kind, strength]:.2f}" for tier in TIERS)
