"""Graphs alone: the champion's step, windowed detectors' steps beside it, and an LSTM against matrix products.

    python experiments/throughput/graphs.py champion BUNDLE
    python experiments/throughput/graphs.py windows BUNDLE
    python experiments/throughput/graphs.py products

Windowed detectors are built untrained: what a graph costs does not depend on its weights. All figures are medians
over rounds that take turns, in seconds of CPU time per call.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import torch
from numpy.typing import NDArray
from pinned import middle, say
from torch import nn

from seqdetect.bundle.load import load, session
from seqdetect.detector.block.context import COLUMNS
from seqdetect.detector.block.normal import Prior
from seqdetect.detector.compose import new_graph, step_graph
from seqdetect.detector.graph import Graph
from seqdetect.detector.lstm_autoencoder import Autoencoder, LstmAutoencoder
from seqdetect.detector.torch_graph import flat, linear, lstm, sequence
from seqdetect.sequence.features import FEATURES
from seqdetect.sequence.population import NAMES

Floats = NDArray[np.float32]
Call = Callable[[], object]
BATCHES = (1, 16, 64, 256, 1024, 4096, 16_384, 65_536)
WINDOWS = (16, 32, 64, 128, 256)
WINDOWED_BATCH, SETTLED_STEPS, SETTLED_ROWS, OLD_STEPS = 256, 100, 300_000, 5_000
ROUNDS, ROUND_S = 7, 0.05
WINDOW, WIDTH, HIDDEN, PRODUCT_BATCHES = 32, 8, 64, (1, 16, 64, 256)


def timed(calls: dict[str, Call]) -> dict[str, float]:
    """Median CPU seconds of each call; in every round each has its turn of about ``ROUND_S``."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    repeats = {name: _repeats(call) for name, call in calls.items()}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            begun = time.process_time()
            for _ in range(repeats[name]):
                call()
            times[name].append((time.process_time() - begun) / repeats[name])
    return {name: middle(found) for name, found in times.items()}


def _repeats(call: Call) -> int:
    call()
    begun = time.process_time()
    call()
    return max(1, round(ROUND_S / max(time.process_time() - begun, 1e-6)))


def feeds(run: ort.InferenceSession, initial: Floats, batch: int) -> dict[str, Floats]:
    """Features as traffic has them, and the state of new users."""
    rng = np.random.default_rng(0)
    features = np.abs(rng.normal(2.0, 1.0, (batch, len(FEATURES)))).astype(np.float32)
    features[:, -3:] = 10.0, 43_200.0, 3.0  # elapsed, second of the day, weekday
    given = {
        "features": features,
        "population": np.ones(len(NAMES), np.float32),
        "state_in": np.repeat(initial[None], batch, axis=0),
    }
    return {node.name: given[node.name] for node in run.get_inputs()}


def settled(run: ort.InferenceSession, given: dict[str, Floats], steps: int) -> dict[str, Floats]:
    """The same users after ``steps`` more steps of traffic."""
    rng = np.random.default_rng(1)
    moves = rng.normal(0.0, 0.5, (64, *given["features"].shape)).astype(np.float32)
    moves[:, :, -3:] = 0.0
    names = [node.name for node in run.get_outputs()]
    for step in range(steps):
        given = given | {"features": given["features"] + moves[step % len(moves)]}
        state = dict(zip(names, run.run(None, given), strict=True))["state"]
        given = given | {"features": given["features"] - moves[step % len(moves)], "state_in": state}
    return given


def champion(path: str) -> dict[str, Any]:
    """Seconds per call by batch, beside a bare LSTM step; and with users of a long history."""
    bundle = load(path)
    run, bare = bundle.session, bare_lstm()
    calls: dict[str, Call] = {}
    for batch in BATCHES:
        given = settled(run, feeds(run, bundle.initial, batch), min(SETTLED_STEPS, SETTLED_ROWS // batch))
        calls[f"step {batch}"] = _call(run, given)
        calls[f"bare {batch}"] = _call(bare, feeds(bare, np.zeros(1, np.float32), batch))
    young = settled(run, feeds(run, bundle.initial, WINDOWED_BATCH), SETTLED_STEPS)
    calls["young"], calls["old"] = _call(run, young), _call(run, settled(run, young, OLD_STEPS))
    return {"seconds": timed(calls), "state_bytes": bundle.initial.nbytes}


def _call(run: ort.InferenceSession, given: dict[str, Floats]) -> Call:
    return lambda: run.run(None, given)


def bare_lstm() -> ort.InferenceSession:
    """A step of 64 LSTM units on as many inputs as there are features, with nothing around it."""
    graph = new_graph()
    one = graph.op("Unsqueeze", graph.features, graph.integers([0]))
    out = graph.op("Squeeze", lstm(graph, one, nn.LSTM(len(FEATURES), HIDDEN)), graph.integers([0]))
    return session(graph.build(out=(out, HIDDEN)).SerializeToString())


def windows(path: str) -> dict[str, Any]:
    """The same for windowed autoencoders of several lengths, and the state that a window needs."""
    bundle = load(path)
    prior = Prior(np.zeros(COLUMNS, np.float32), np.ones(COLUMNS, np.float32))
    calls = {"champion": _call(bundle.session, feeds(bundle.session, bundle.initial, WINDOWED_BATCH))}
    states = {"champion": bundle.initial.nbytes}
    for steps in WINDOWS:
        detector = LstmAutoencoder(window=steps)
        detector.net = Autoencoder(COLUMNS, detector.hidden, detector.code)
        model, graph = step_graph(detector, prior, None)
        run, initial = session(model.SerializeToString()), graph.initial_row
        calls[f"window {steps}"] = _call(run, feeds(run, initial, WINDOWED_BATCH))
        states[f"window {steps}"] = initial.nbytes
    return {"seconds": timed(calls), "state_bytes": states, "batch": WINDOWED_BATCH}


def autoencoder() -> ort.InferenceSession:
    """Tutorials' LSTM autoencoder: ``features [n, WINDOW * WIDTH]`` to what it writes, of the same shape."""
    graph = Graph(WINDOW * WIDTH, 1)
    encoded = lstm(graph, sequence(graph, graph.features, WINDOW, WIDTH), nn.LSTM(WIDTH, HIDDEN))
    last = graph.op(
        "Slice", encoded, graph.integers([WINDOW - 1]), graph.integers([WINDOW]), graph.integers([0])
    )
    repeated = graph.op("Expand", last, graph.integers([WINDOW, 1, 1]))
    written = linear(lstm(graph, repeated, nn.LSTM(HIDDEN, HIDDEN)), nn.Linear(HIDDEN, WIDTH))
    out = flat(graph, written, WINDOW, WIDTH)
    return session(graph.build(out=(out, WINDOW * WIDTH)).SerializeToString())


def shapes(batch: int) -> list[tuple[int, int, int, int]]:
    """(rows, inner, columns, times) of the products in one call of ``autoencoder``."""
    gates = 4 * HIDDEN
    return [
        (WINDOW * batch, WIDTH, gates, 1),
        (batch, HIDDEN, gates, 2 * WINDOW),
        (WINDOW * batch, HIDDEN, gates, 1),
        (WINDOW * batch, HIDDEN, WIDTH, 1),
    ]


def filled(run: ort.InferenceSession, features: Floats) -> dict[str, Floats]:
    """``features`` beside the inputs that every graph of the project has and these do not read."""
    rows = len(features)
    given = {
        "features": features,
        "population": np.zeros(1, np.float32),
        "state_in": np.zeros((rows, 1), np.float32),
    }
    return {node.name: given[node.name] for node in run.get_inputs()}


def product(rows: int, inner: int, columns: int) -> dict[str, Call]:
    """One product of this shape, by numpy and by ONNX Runtime."""
    rng = np.random.default_rng(0)
    left = rng.normal(size=(rows, inner)).astype(np.float32)
    right = rng.normal(size=(inner, columns)).astype(np.float32)
    out = np.empty((rows, columns), np.float32)
    graph = Graph(inner, 1)
    run = session(graph.build(out=(graph.features @ right, columns)).SerializeToString())
    binding = run.io_binding()
    for name, values in filled(run, left).items():
        binding.bind_cpu_input(name, values)
    binding.bind_output("out")
    return {
        "numpy": lambda: np.matmul(left, right, out=out),
        "onnxruntime": lambda: run.run_with_iobinding(binding),
    }


def gates(batch: int) -> Call:
    """The sigmoids and hyperbolic tangents of one call of ``autoencoder``, by ONNX Runtime."""
    rows, parts = 2 * WINDOW * batch, 5 * HIDDEN
    graph = Graph(parts, 1)
    sigmoid = graph.op("Sigmoid", graph.features.columns(0, 3 * HIDDEN))
    tanh = graph.op("Tanh", graph.features.columns(3 * HIDDEN, parts))
    run = session(graph.build(s=(sigmoid, 3 * HIDDEN), t=(tanh, 2 * HIDDEN)).SerializeToString())
    values = np.random.default_rng(0).normal(size=(rows, parts)).astype(np.float32)
    return _call(run, filled(run, values))


def products() -> dict[str, Any]:
    """By batch: operations per call, seconds of the LSTM, and of its products done by themselves.

    Each shape is done by whichever of numpy and ONNX Runtime is faster at it.
    """
    run, found = autoencoder(), {}
    for batch in PRODUCT_BATCHES:
        rng = np.random.default_rng(0)
        given = filled(run, rng.normal(size=(batch, WINDOW * WIDTH)).astype(np.float32))
        calls = {"lstm": _call(run, given)}
        calls["gates"] = gates(batch)
        sizes = shapes(batch)
        for number, (rows, inner, columns, _) in enumerate(sizes):
            calls |= {f"{number} {name}": call for name, call in product(rows, inner, columns).items()}
        seconds = timed(calls)
        alone = [min(seconds[f"{n} numpy"], seconds[f"{n} onnxruntime"]) for n in range(len(sizes))]
        flop = [2.0 * rows * inner * columns for rows, inner, columns, _ in sizes]
        times = [count for *_, count in sizes]
        found[str(batch)] = {
            "flop": float(np.dot(flop, times)),
            "lstm_s": seconds["lstm"],
            "gates_s": seconds["gates"],
            "products_s": float(np.dot(alone, times)),
            "shapes": [
                [*size[:3], one / each / 1e9] for size, one, each in zip(sizes, flop, alone, strict=True)
            ],
        }
    side = np.ones((1024, 1024), np.float32)
    here, there = np.ones(1 << 26, np.float32), np.empty(1 << 26, np.float32)
    other = timed({"large": lambda: side @ side, "copy": lambda: np.copyto(there, here)})
    return {
        "batches": found,
        "large_gflops": 2 * 1024**3 / other["large"] / 1e9,
        "copy_gb_s": 2 * here.nbytes / other["copy"] / 1e9,
    }


if __name__ == "__main__":
    torch.manual_seed(0)
    torch.set_num_threads(1)
    what = sys.argv[1]
    ways: dict[str, Callable[..., dict[str, Any]]] = {
        "champion": champion,
        "windows": windows,
        "products": products,
    }
    say(**ways[what](*map(str, map(Path, sys.argv[2:]))))
