"""What one step of a bundle costs, on one core, beside an ordinary LSTM step of the same run.

    python experiments/detection/step_cost.py out/train/bundle.onnx [more bundles]

Prints microseconds per user and tick at several batch sizes (the fastest of many rounds: the machine's other work
only ever adds), as a ratio to a bare LSTM step of 64 units too, and the state's bytes per user.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime as ort
import torch
from torch import nn

from seqdetect.bundle.load import load
from seqdetect.detector.graph import Graph
from seqdetect.detector.torch_graph import lstm
from seqdetect.sequence.features import FEATURES
from seqdetect.sequence.population import NAMES

BATCHES = (16, 256, 1024)
ROUNDS, CALLS = 30, 20


def session(model: bytes) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def fastest(call: Callable[[], object], batch: int) -> float:
    """Microseconds per row."""
    best = np.inf
    for _ in range(ROUNDS):
        started = time.perf_counter()
        for _ in range(CALLS):
            call()
        best = min(best, time.perf_counter() - started)
    return 1e6 * best / (CALLS * batch)


def bare_lstm(batch: int) -> float:
    """A step of 64 LSTM units on as many inputs as there are features, with nothing around it."""
    graph = Graph(len(FEATURES), len(NAMES))
    sequence = graph.op("Unsqueeze", graph.features, graph.integers([0]))
    out = graph.op("Squeeze", lstm(graph, sequence, nn.LSTM(len(FEATURES), 64)), graph.integers([0]))
    run = session(graph.build(out=(out, 64)).SerializeToString())
    feeds = {
        "features": np.zeros((batch, len(FEATURES)), np.float32),
        "population": np.zeros(len(NAMES), np.float32),
        "state_in": np.zeros((batch, 1), np.float32),
    }
    feeds = {node.name: feeds[node.name] for node in run.get_inputs()}
    return fastest(lambda: run.run(None, feeds), batch)


def cost(path: Path, batch: int) -> float:
    bundle = load(path)
    run = session(path.read_bytes())
    rng = np.random.default_rng(0)
    feeds = {
        "features": np.abs(rng.normal(2.0, 1.0, (batch, len(FEATURES)))).astype(np.float32),
        "population": np.ones(len(NAMES), np.float32),
        "state_in": np.repeat(bundle.initial[None], batch, axis=0),
    }
    feeds = {node.name: feeds[node.name] for node in run.get_inputs()}
    return fastest(lambda: run.run(None, feeds), batch)


if __name__ == "__main__":
    torch.manual_seed(0)
    base = {batch: bare_lstm(batch) for batch in BATCHES}
    print("bare LSTM step:", ", ".join(f"{value:.2f} us at batch {batch}" for batch, value in base.items()))
    for name in sys.argv[1:]:
        costs = {batch: cost(Path(name), batch) for batch in BATCHES}
        each = ", ".join(f"{v:.2f} us at batch {b} ({v / base[b]:.1f}x)" for b, v in costs.items())
        print(f"{name}: {each}; state {4 * len(load(Path(name)).initial)} bytes per user")
