"""Writing a step function as an ONNX graph, in the notation of arithmetic.

A ``Graph`` starts with the inputs ``features [n, F]``, ``population [P]`` and ``state_in [n, S]``. State is
declared piece by piece: ``state(name, initial)`` gives the slice ``[n, width]`` as it was before the step, and
``update(name, value)`` says what it is afterwards. Values are ``[n, width]`` unless said otherwise.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import ArrayLike, NDArray
from onnx import TensorProto, helper, numpy_helper

OPSET: Final = 20
ML_OPSET: Final = 3
PACKET: Final = 16
"""Columns that a logarithm is padded to: ONNX Runtime rounds whole SIMD packets and the rest differently."""


class Value:
    """A tensor in a graph; arithmetic on it adds nodes."""

    def __init__(self, graph: Graph, name: str) -> None:
        self.graph = graph
        self.name = name

    def __add__(self, other: Operand) -> Value:
        return self.graph.op("Add", self, other)

    def __radd__(self, other: float) -> Value:
        return self.graph.op("Add", other, self)

    def __sub__(self, other: Operand) -> Value:
        return self.graph.op("Sub", self, other)

    def __rsub__(self, other: float) -> Value:
        return self.graph.op("Sub", other, self)

    def __mul__(self, other: Operand) -> Value:
        return self.graph.op("Mul", self, other)

    def __rmul__(self, other: float) -> Value:
        return self.graph.op("Mul", other, self)

    def __truediv__(self, other: Operand) -> Value:
        return self.graph.op("Div", self, other)

    def __rtruediv__(self, other: float) -> Value:
        return self.graph.op("Div", other, self)

    def __neg__(self) -> Value:
        return self.graph.op("Neg", self)

    def __matmul__(self, weights: ArrayLike) -> Value:
        return self.graph.op("MatMul", self, self.graph.constant(weights))

    def clip(self, low: Operand | None = None, high: Operand | None = None) -> Value:
        """Elementwise bounds; each may be a value of the same shape."""
        out = self
        if low is not None:
            out = self.graph.op("Max", out, low)
        if high is not None:
            out = self.graph.op("Min", out, high)
        return out

    def exp(self) -> Value:
        return self.graph.op("Exp", self)

    def sqrt(self) -> Value:
        return self.graph.op("Sqrt", self)

    def abs(self) -> Value:
        return self.graph.op("Abs", self)

    def log(self, width: int) -> Value:
        """Natural logarithm of ``[n, width]``, computed on whole packets so that any batch gives the same bits."""
        padding = -width % PACKET
        padded = self.graph.op("Pad", self, self.graph.integers([0, 0, 0, padding]), 1.0)
        return self.graph.op("Log", padded).columns(0, width)

    def columns(self, start: int, end: int) -> Value:
        """Columns ``[start, end)``."""
        g = self.graph
        return g.op("Slice", self, g.integers([start]), g.integers([end]), g.integers([1]))

    def pick(self, indices: list[int]) -> Value:
        """The columns at ``indices``."""
        return self.graph.op("Gather", self, self.graph.integers(indices), axis=1)

    def sum(self, width: int) -> Value:
        """Row sums ``[n, 1]`` of ``[n, width]``: a matrix product, whose bits do not depend on the batch."""
        return self @ np.ones((width, 1), np.float32)

    def where(self, yes: Operand, no: Operand) -> Value:
        """Elementwise choice; this value must be boolean."""
        return self.graph.op("Where", self, yes, no)

    def __gt__(self, other: Operand) -> Value:
        return self.graph.op("Greater", self, other)

    def __ge__(self, other: Operand) -> Value:
        return self.graph.op("GreaterOrEqual", self, other)

    def __lt__(self, other: Operand) -> Value:
        return self.graph.op("Less", self, other)

    def number(self) -> Value:
        """A boolean as 0.0 or 1.0."""
        return self.graph.op("Cast", self, to=TensorProto.FLOAT)


Operand = Value | float | NDArray[np.float32] | NDArray[np.float64]
"""What arithmetic takes: another value, or numbers that become a constant."""


class Graph:
    """A step function under construction."""

    def __init__(self, features: int, population: int) -> None:
        self.widths = {"features": features, "population": population}
        self.features = Value(self, "features")
        self.population = Value(self, "population")
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[bytes, onnx.TensorProto] = {}
        self.initial: dict[str, NDArray[np.float32]] = {}
        self.updates: dict[str, Value] = {}
        self.extra: dict[str, tuple[Value, int]] = {}

    def constant(self, values: ArrayLike, dtype: type = np.float32) -> Value:
        """A constant tensor; equal ones are stored once."""
        array: NDArray[Any] = np.ascontiguousarray(np.asarray(values, dtype))
        key = f"{array.dtype}{array.shape}".encode() + array.tobytes()
        if key not in self.constants:
            self.constants[key] = numpy_helper.from_array(array, f"c{len(self.constants)}")
        return Value(self, self.constants[key].name)

    def integers(self, values: ArrayLike) -> Value:
        """An int64 constant, for shapes and indices."""
        return self.constant(values, np.int64)

    def op(self, kind: str, *inputs: Operand, domain: str = "", **attributes: Any) -> Value:
        """Add a node; plain numbers become constants. Returns its first output."""
        return self.ops(kind, *inputs, domain=domain, **attributes)[0]

    def ops(
        self, kind: str, *inputs: Operand | None, domain: str = "", outputs: int = 1, **attributes: Any
    ) -> list[Value]:
        """Add a node with several outputs."""
        names = []
        for value in inputs:
            if value is None:
                names.append("")
            else:
                names.append(value.name if isinstance(value, Value) else self.constant(value).name)
        results = [f"v{len(self.nodes)}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(kind, names, results, domain=domain, **attributes))
        return [Value(self, name) for name in results]

    def concat(self, *values: Value) -> Value:
        """Side by side along the columns."""
        return self.op("Concat", *values, axis=1) if len(values) > 1 else values[0]

    def state(self, name: str, initial: ArrayLike) -> Value:
        """Declare a slot; its value before the step, ``[n, len(initial)]``."""
        if name in self.initial:
            raise ValueError(f"the state slot {name!r} is declared twice")
        self.initial[name] = np.atleast_1d(np.asarray(initial, np.float32))
        return Value(self, f"state_{name}")

    def update(self, name: str, value: Value) -> None:
        """Say what a slot holds after the step."""
        self.updates[name] = value

    def output(self, name: str, value: Value, width: int) -> None:
        """Give the model one more output ``[n, width]``, beside those that ``build`` is told of."""
        self.extra[name] = (value, width)

    @property
    def initial_row(self) -> NDArray[np.float32]:
        """State row [S] of a user never seen."""
        return np.concatenate(list(self.initial.values())) if self.initial else np.zeros(1, np.float32)

    def build(self, **outputs: tuple[Value, int]) -> onnx.ModelProto:
        """The checked model. ``outputs`` are named values with their widths; ``state`` is added by itself."""
        outputs |= self.extra
        if not self.initial:
            self.update("nothing", self.state("nothing", [0.0]))
        missing = set(self.initial) - set(self.updates)
        if missing:
            raise ValueError(f"state slots without an update: {sorted(missing)}")
        widths = [len(row) for row in self.initial.values()]
        names = [f"state_{name}" for name in self.initial]
        split = helper.make_node("Split", ["state_in", self.integers(widths).name], names, axis=1)
        ends = [helper.make_node("Concat", [self.updates[n].name for n in self.initial], ["state"], axis=1)]
        ends += [helper.make_node("Identity", [value.name], [name]) for name, (value, _) in outputs.items()]
        inputs = [
            _tensor("features", ["n", self.widths["features"]]),
            _tensor("population", [self.widths["population"]]),
            _tensor("state_in", ["n", sum(widths)]),
        ]
        results = [_tensor(name, ["n", width]) for name, (_, width) in outputs.items()]
        results.append(_tensor("state", ["n", sum(widths)]))
        graph = helper.make_graph(
            [split, *self.nodes, *ends], "step", inputs, results, initializer=list(self.constants.values())
        )
        imports = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)]
        model = helper.make_model(graph, opset_imports=imports, ir_version=10, producer_name="seqdetect")
        onnx.checker.check_model(model)
        return model


def _tensor(name: str, shape: list[str | int]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
