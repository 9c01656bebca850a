"""Writing a bundle: the graph, its metadata, and the parity check without which nothing is written."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from seqdetect.bundle.schema import (
    METADATA_KEY,
    SCHEMA_VERSION,
    FeatureColumn,
    Metadata,
    Parity,
    Slot,
    State,
    Threshold,
    encode,
)
from seqdetect.sequence.features import FEATURES
from seqdetect.sequence.population import NAMES as POPULATION

TOLERANCE = 1e-5


class ParityError(ValueError):
    """The graph does not follow the trained detector closely enough to be shipped."""


def check_parity(
    graph: NDArray[np.floating[Any]],
    reference: NDArray[np.floating[Any]],
    training: NDArray[np.floating[Any]],
    name: str,
) -> Parity:
    """Compare raw scores [n] of the graph and of the trained model on the same rows.

    The difference is measured against max(|reference|, interquartile range of ``training`` scores). Raises
    ``ParityError`` above ``TOLERANCE``.
    """
    lower, upper = np.percentile(training, [25, 75])
    spread = float(upper - lower)
    scale = np.maximum(np.abs(reference), max(spread, float(np.finfo(np.float32).tiny)))
    difference = np.abs(graph - reference) / scale
    worst = int(np.argmax(difference))
    if not difference[worst] <= TOLERANCE:
        raise ParityError(
            f"{name}: the exported graph scores step {worst} as {graph[worst]:.7g}, the trained model as "
            f"{reference[worst]:.7g}; the difference is {difference[worst]:.2g}, allowed is {TOLERANCE:g}"
        )
    return Parity(name, len(reference), float(difference[worst]), TOLERANCE)


def describe_state(model: onnx.ModelProto, initial: Mapping[str, NDArray[np.float32]]) -> State:
    """The layout of the state row, and a hash of it and of every weight that helps to make it."""
    slots, start = [], 0
    for name, values in initial.items():
        slots.append(Slot(name, start, len(values)))
        start += len(values)
    row = [float(value) for values in initial.values() for value in values]
    layout = json.dumps([[slot.name, slot.width] for slot in slots]).encode()
    digest = hashlib.sha256(layout + _state_makers(model)).hexdigest()[:16]
    return State(start, 4 * start, slots, row, digest)


def _state_makers(model: onnx.ModelProto) -> bytes:
    """The nodes and constants that the ``state`` output is computed from, in a canonical form."""
    maker = {output: node for node in model.graph.node for output in node.output}
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    seen: dict[str, bytes] = {}

    def digest(name: str) -> bytes:
        if name not in seen:
            if name in constants:
                tensor = constants[name]
                text = str((tensor.data_type, list(tensor.dims))).encode() + tensor.raw_data
            elif name in maker:
                node = maker[name]
                attributes = b"".join(
                    sorted(one.SerializeToString(deterministic=True) for one in node.attribute)
                )
                position = list(node.output).index(name)
                parents = b"".join(digest(parent) for parent in node.input)
                text = f"{node.domain}.{node.op_type}.{position}".encode() + attributes + parents
            else:
                text = name.encode()
            seen[name] = hashlib.sha256(text).digest()
        return seen[name]

    return digest("state")


def columns(neutral: NDArray[np.float32], observed: NDArray[np.bool_]) -> list[FeatureColumn]:
    """The feature columns as the bundle lists them."""
    return [
        FeatureColumn(feature.name, feature.unit, feature.group, float(neutral[i]), bool(observed[i]))
        for i, feature in enumerate(FEATURES)
    ]


def write_bundle(
    path: str | Path,
    model: onnx.ModelProto,
    initial: Mapping[str, NDArray[np.float32]],
    *,
    detector: str,
    key: str,
    tick_s: float,
    lateness_s: float,
    features: list[FeatureColumn],
    thresholds: dict[str, Threshold],
    kinds: list[str],
    calibration: dict[str, Any],
    parity: Parity,
    provenance: dict[str, Any],
) -> Metadata:
    """Save ``model`` with its metadata as one file."""
    metadata = Metadata(
        schema_version=SCHEMA_VERSION,
        detector=detector,
        key=key,
        tick_s=tick_s,
        lateness_s=lateness_s,
        features=features,
        population=list(POPULATION),
        state=describe_state(model, initial),
        thresholds=thresholds,
        kinds=kinds,
        calibration=calibration,
        parity=parity,
        provenance=provenance,
    )
    onnx.helper.set_model_props(model, {METADATA_KEY: encode(metadata)})
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    onnx.save_model(model, str(path))
    return metadata
