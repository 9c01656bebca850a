"""A change of an alert as the book tells it, for tests of what comes after."""

from __future__ import annotations

from typing import Any


def change(what: str = "open", **more: Any) -> dict[str, Any]:
    """A change with every field; ``what`` is open, update or resolve."""
    return {
        "alert_id": "5f2c3f0a9d1b7e44",
        "change": what,
        "at": "2026-03-02T10:00:20Z",
        "model": "users",
        "key": "user_id",
        "shadow": False,
        "muted": False,
        "user_id": "u-1",
        "users": 1,
        "into": None,
        "start": "2026-03-02T10:00:00Z",
        "end": "2026-03-02T10:05:00Z" if what == "resolve" else None,
        "reopened": 0,
        "severity": "critical",
        "tier": "critical",
        "kind": "flood",
        "teams": ["sre"],
        "score": 5.25,
        "threshold": 4.5,
        "budget": 1.0,
        "top_features": [
            {"name": "requests", "value": 900.0, "expected": 12.0, "contribution": 3.1, "scale_s": 90.0},
            {"name": "addresses", "value": 4.0, "expected": 1.0, "contribution": 0.4},
        ],
        "tokens": 1_250_000,
        "cost_usd": 8.4,
        "impact": {"cost_per_hour_usd": 60.5, "traffic_share": 0.31, "slo_burn": None},
        "triage": None,
        "left_out": None,
        "runbook_url": "https://runbooks.example/flood.md",
        "bundle_version": "learned_evidence-0-abcdef",
    } | more
