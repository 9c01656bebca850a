"""A small bundle written by hand: its score, kinds and time scales follow from the step by plain rules."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from seqdetect.bundle import export
from seqdetect.bundle.schema import Parity, Threshold
from seqdetect.detector.compose import FEATURE_COUNT, new_graph
from seqdetect.sequence.features import FEATURES, INDEX

KINDS = ["unknown", "flood", "wallet"]
USUAL_REQUESTS = 9.0
USUAL_TOKENS = 999.0
THRESHOLDS = {"warning": 0.5, "critical": 1.5}
FLOOD_S, WALLET_S = 60.0, 3600.0


def write(path: Path, kinds: Sequence[str] = KINDS, tells: bool = True) -> Path:
    """A bundle that scores a step's requests and its completion tokens per request, in log units above the usual.

    The kind is shared out by the two excesses, with 0.1 left to "unknown"; the scale is that of the larger one.
    Without ``tells`` the graph has neither output.
    """
    graph = new_graph()
    requests, tokens = INDEX["requests"], INDEX["completion_mean"]
    usual = np.zeros((1, FEATURE_COUNT), np.float32)
    usual[0, requests], usual[0, tokens] = np.log1p(USUAL_REQUESTS), np.log1p(USUAL_TOKENS)
    expected = graph.features * 0.0 + usual
    above = (graph.features - expected).clip(0.0)
    flood, wallet = above.columns(requests, requests + 1), above.columns(tokens, tokens + 1)
    rest = flood * 0.0 + 0.1
    kind = graph.concat(rest, flood, wallet) / (rest + flood + wallet)
    outputs = {"score": (flood + wallet, 1), "expected": (expected, FEATURE_COUNT)}
    if tells:
        outputs |= {"kind": (kind, 3), "scale": ((flood > wallet).where([[FLOOD_S]], [[WALLET_S]]), 1)}
    model = graph.build(**outputs)
    neutral = np.array([feature.neutral for feature in FEATURES], np.float32)
    export.write_bundle(
        path,
        model,
        graph.initial,
        detector="handmade",
        key="user_id",
        tick_s=10.0,
        lateness_s=10.0,
        features=export.columns(neutral, np.ones(FEATURE_COUNT, bool)),
        thresholds={name: Threshold(value, 1.0, 0, 1.0, 0.95, 3.0, "") for name, value in THRESHOLDS.items()},
        kinds=list(kinds),
        calibration={},
        parity=Parity("none", 0, 0.0, 1e-5),
        provenance={"run_id": "test"},
    )
    return path
