"""Benchmarks made up by code: scores and incidents drawn at random, everything else measured for real."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from seqdetect.metrics.evaluate import evaluate, random_scores
from seqdetect.report import Run, Timeline

TICK_US = 10_000_000
DAY_US = 86_400_000_000
START_US = 1_709_510_400_000_000
THRESHOLDS = {"critical": 4.0, "warning": 3.2}
BUDGETS = {"critical": 1.0, "warning": 7.0}
KINDS = ("flood", "drip", "takeover", "scrape", "benign_campaign")
STRENGTHS = ("blatant", "strong", "moderate", "subtle")


def incidents(users: int, days: int, rng: np.random.Generator) -> pd.DataFrame:
    """One incident for two users in three, kinds in turn."""
    rows = []
    for user in range(users):
        if user % 3 == 2:
            continue
        start = START_US + int(rng.integers(0.1 * DAY_US, (days - 0.3) * DAY_US)) // TICK_US * TICK_US
        end = start + int(rng.integers(20, 180)) * 60_000_000
        kind = KINDS[user % len(KINDS)]
        rows.append((f"i{user}", f"user-{user:02d}", start, end, kind, STRENGTHS[int(rng.integers(4))]))
    return pd.DataFrame(rows, columns=["incident_id", "user_id", "start", "end", "kind", "strength"])


def scores(users: int, days: int, known: pd.DataFrame, lift: float, rng: np.random.Generator) -> pd.DataFrame:
    """Exponential scores (minus the decimal logarithm of a tail), lifted by ``lift`` inside incidents."""
    frames = []
    for user in range(users):
        name = f"user-{user:02d}"
        tick = np.flatnonzero(rng.random(days * 8640) < 0.06) + 1
        time = START_US + tick * TICK_US
        score = rng.exponential(1 / np.log(10), tick.size)
        for one in known[known["user_id"] == name].itertuples():
            inside = (time > one.start) & (time <= one.end)
            weaker = (
                0.4 if one.kind in ("drip", "benign_campaign") else 1 - 0.15 * STRENGTHS.index(one.strength)
            )
            score[inside] += lift * weaker * rng.gamma(4, 0.25, int(inside.sum()))
        frames.append(pd.DataFrame({"user_id": name, "timestamp": time, "score": score}))
    return pd.concat(frames, ignore_index=True)


def metrics(
    detector: str, seed: int, drawn: pd.DataFrame, known: pd.DataFrame | None, days: int
) -> dict[str, Any]:
    """One run's ``metrics.json``."""
    rng = np.random.default_rng(seed)
    span = START_US, START_US + days * DAY_US
    test = evaluate(drawn, known, span, THRESHOLDS, BUDGETS, rng)
    by_luck = evaluate(random_scores(drawn, rng), known, span, {}, BUDGETS, rng)
    return {
        "detector": detector,
        "seed": seed,
        "data": {
            "source": "synthetic",
            "events": 123_456,
            "users": drawn["user_id"].nunique(),
            "start": "2024-03-01T00:00:00Z",
            "end": "2024-03-06T00:00:00Z",
            "hash": "0123456789abcdef",
            "incidents": None if known is None else len(known),
        },
        "split": {
            "train": ["2024-03-01T00:00:00Z", "2024-03-03T00:00:00Z"],
            "calibration": ["2024-03-03T00:00:00Z", "2024-03-04T00:00:00Z"],
            "test": ["2024-03-04T00:00:00Z", "2024-03-06T00:00:00Z"],
        },
        "calibration": {
            "labels": "clean only" if known is None else "incidents",
            "statement": "7 labelled incident rows in the calibration span were set apart from its clean steps",
            "thresholds": {
                name: {
                    "value": value,
                    "budget_per_user_week": BUDGETS[name],
                    "episodes": 5,
                    "exposure_user_weeks": 5.5,
                    "confidence": 0.95,
                    "upper_bound_per_user_week": 1.91,
                    "statement": f"5 false-alert episodes in 5.50 clean user-weeks; asked: {BUDGETS[name]:g}",
                }
                for name, value in THRESHOLDS.items()
            },
        },
        "selection": {"score": float(rng.random()), "on": "calibration"},
        "test": test,
        "test_random": by_luck,
        "parity": {"reference": "model", "rows": 20_000, "largest_difference": 3.2e-7},
        "timing": {"fit_s": 73.2, "score_s": 4.1, "steps_per_s": 250_000.0},
        "state_bytes_per_user": 632,
        "research_only": "no export of its neighbours" if detector == "lof" else None,
        "history": [
            {"train_loss": 2.0 / (1 + epoch) + 0.1, "validation_loss": 2.1 / (1 + epoch) + 0.15}
            for epoch in range(6)
        ]
        if detector.startswith("lstm")
        else [],
    }


def benchmark(
    lifts: dict[str, float], seeds: int, users: int = 10, days: int = 1, labelled: bool = True
) -> tuple[list[Run], pd.DataFrame, pd.DataFrame]:
    """Runs of detectors that differ in ``lifts``; the first detector's scores of the first seed; incidents."""
    known = incidents(users, days, np.random.default_rng(7))
    runs, first = [], pd.DataFrame()
    for place, (name, lift) in enumerate(lifts.items()):
        for seed in range(seeds):
            drawn = scores(users, days, known, lift, np.random.default_rng([seed, place]))
            first = drawn if first.empty else first
            runs.append(Run(name, seed, metrics(name, seed, drawn, known if labelled else None, days)))
    return runs, first, known


def timeline(drawn: pd.DataFrame, known: pd.DataFrame, rng: np.random.Generator) -> Timeline:
    """What a champion with these scores would have said."""
    score = drawn["score"]
    levels = np.where(
        score >= THRESHOLDS["critical"],
        "critical",
        np.where(score >= THRESHOLDS["warning"], "warning", "none"),
    )
    stamps = pd.to_datetime(drawn["timestamp"], unit="us", utc=True)
    told = drawn.assign(
        timestamp=stamps, level=levels, top_feature=np.where(levels == "none", None, "requests")
    )
    usage = pd.DataFrame(
        {
            "user_id": drawn["user_id"],
            "minute": stamps.dt.floor("min"),
            "requests": rng.integers(1, 5, len(drawn)),
            "tokens": (np.exp(rng.normal(6.5, 0.8, len(drawn))) * (1 + score.to_numpy())).astype(np.int64),
        }
    )
    return Timeline(told, usage, known, alerts(told), THRESHOLDS)


def alerts(told: pd.DataFrame) -> list[dict[str, Any]]:
    """An alert per critical tick that comes an hour or more after the user's last one."""
    payloads: list[dict[str, Any]] = []
    last: dict[str, pd.Timestamp] = {}
    for one in told[told["level"] == "critical"].itertuples():
        if one.user_id in last and one.timestamp - last[one.user_id] < pd.Timedelta("1h"):
            continue
        last[one.user_id] = one.timestamp
        start = one.timestamp.isoformat().replace("+00:00", "Z")
        payloads.append(
            {
                "alert_id": f"a{len(payloads):04d}",
                "user_id": one.user_id,
                "start": start,
                "end": None,
                "severity": "critical",
                "kind": "unknown",
                "score": one.score,
                "threshold": THRESHOLDS["critical"],
                "top_features": [
                    {"name": "requests", "value": 132.0, "expected": 4.0, "contribution": 2.5},
                    {"name": "errors", "value": 0.42, "expected": 0.01, "contribution": 0.4},
                    {"name": "latency", "value": 3210.0, "expected": 410.0, "contribution": 0.2},
                    {"name": "addresses", "value": 1.0, "expected": 1.0, "contribution": 0.0},
                ],
                "tokens": 48_211,
            }
        )
    return payloads
