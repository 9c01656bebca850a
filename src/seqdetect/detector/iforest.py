"""Isolation forest (Liu, Ting and Zhou 2008), PyOD's, on single steps."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyod.models.iforest import IForest
from sklearn.ensemble._iforest import _average_path_length

from seqdetect.detector import Rows, sample
from seqdetect.detector.block.context import Context
from seqdetect.detector.graph import Graph, Value


@dataclass
class Iforest:
    """Score: PyOD's ``decision_function``, between about -0.5 and 0.5."""

    trees: int = 100
    samples_per_tree: int = 256
    fit_rows: int = 50_000
    research_only: str | None = None
    model: IForest | None = field(default=None, init=False)

    def rows(self, context: Context) -> Value:
        """[n, D] the step in the user's own deviations."""
        return context.z

    def fit(self, rows: Rows, seed: int) -> None:
        self.model = IForest(n_estimators=self.trees, max_samples=self.samples_per_tree, random_state=seed)
        self.model.fit(sample(rows, self.fit_rows, seed))

    def score(self, context: Context, rows: Value) -> Value:
        assert self.model is not None
        forest = self.model.detector_
        depth = forest_depth(context.graph, rows, forest.estimators_)
        scale = float(len(forest.estimators_) * _average_path_length([forest.max_samples_])[0])
        halvings: Value = (depth * (-np.log(2.0) / scale)).exp()
        return halvings + float(forest.offset_)

    def reference(self, rows: Rows) -> NDArray[np.float64]:
        assert self.model is not None
        return np.asarray(self.model.decision_function(rows.values), np.float64)


def forest_depth(graph: Graph, rows: Value, trees: list[object]) -> Value:
    """[n, 1] sum over trees of the depth of each row's leaf plus the mean depth of what was left in it."""
    columns: dict[str, list[Any]] = {name: [] for name in _NODE_ATTRIBUTES}
    leaves: dict[str, list[Any]] = {name: [] for name in ("treeids", "nodeids", "ids", "weights")}
    for number, estimator in enumerate(trees):
        tree = estimator.tree_  # type: ignore[attr-defined]
        depth = _depths(tree.children_left, tree.children_right)
        leaf = tree.children_left < 0
        left_over = _average_path_length(tree.n_node_samples)
        for node in range(tree.node_count):
            columns["treeids"].append(number)
            columns["nodeids"].append(node)
            columns["featureids"].append(0 if leaf[node] else int(tree.feature[node]))
            columns["values"].append(0.0 if leaf[node] else _below(tree.threshold[node]))
            columns["modes"].append("LEAF" if leaf[node] else "BRANCH_LEQ")
            columns["truenodeids"].append(0 if leaf[node] else int(tree.children_left[node]))
            columns["falsenodeids"].append(0 if leaf[node] else int(tree.children_right[node]))
            if leaf[node]:
                leaves["treeids"].append(number)
                leaves["nodeids"].append(node)
                leaves["ids"].append(0)
                leaves["weights"].append(float(depth[node] + left_over[node]))
    attributes: dict[str, Any] = {f"nodes_{name}": values for name, values in columns.items()}
    attributes |= {f"target_{name}": values for name, values in leaves.items()}
    return graph.op("TreeEnsembleRegressor", rows, domain="ai.onnx.ml", n_targets=1, **attributes)


_NODE_ATTRIBUTES = ("treeids", "nodeids", "featureids", "values", "modes", "truenodeids", "falsenodeids")


def _below(threshold: float) -> float:
    """The largest float32 not above ``threshold``: x <= threshold decides the same for every float32 x."""
    rounded = np.float32(threshold)
    return float(np.nextafter(rounded, np.float32(-np.inf)) if float(rounded) > threshold else rounded)


def _depths(left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.int64]:
    depth = np.zeros(len(left), np.int64)
    for node in range(len(left)):
        if left[node] >= 0:
            depth[left[node]] = depth[right[node]] = depth[node] + 1
    return depth
