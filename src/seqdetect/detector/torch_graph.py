"""Trained torch layers as nodes of a graph."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import nn

from seqdetect.detector.graph import Graph, Value


def linear(values: Value, layer: nn.Linear) -> Value:
    """A torch linear layer on the last axis."""
    out: Value = values @ layer.weight.detach().numpy().T
    return out + layer.bias.detach().numpy()


def lstm(graph: Graph, sequence: Value, layer: nn.LSTM) -> Value:
    """A torch LSTM layer as an ONNX LSTM: ``[time, n, in]`` to ``[time, n, hidden]``.

    torch orders the gates input, forget, cell, output; ONNX input, output, forget, cell.
    """
    hidden = layer.hidden_size

    def gates(name: str) -> NDArray[np.float32]:
        parts = getattr(layer, name).detach().numpy().reshape(4, hidden, -1)
        return np.asarray(parts[[0, 3, 1, 2]].reshape(4 * hidden, -1))

    weights, recurrent = gates("weight_ih_l0")[None], gates("weight_hh_l0")[None]
    bias = np.concatenate([gates("bias_ih_l0"), gates("bias_hh_l0")]).reshape(1, -1)
    constants = [graph.constant(values) for values in (weights, recurrent, bias)]
    every = graph.op("LSTM", sequence, *constants, hidden_size=hidden)
    return graph.op("Squeeze", every, graph.integers([1]))


def sequence(graph: Graph, window: Value, steps: int, width: int) -> Value:
    """A window ``[n, steps * width]`` as torch's and ONNX's recurrent layers read it: ``[time, n, width]``."""
    return graph.op(
        "Transpose", graph.op("Reshape", window, graph.integers([-1, steps, width])), perm=[1, 0, 2]
    )


def flat(graph: Graph, sequence: Value, steps: int, width: int) -> Value:
    """The way back: ``[time, n, width]`` to ``[n, steps * width]``."""
    return graph.op(
        "Reshape", graph.op("Transpose", sequence, perm=[1, 0, 2]), graph.integers([-1, steps * width])
    )
