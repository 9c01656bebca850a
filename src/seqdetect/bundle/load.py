"""Opening a bundle with ONNX Runtime alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from seqdetect.bundle.schema import METADATA_KEY, Metadata, decode


@dataclass(frozen=True)
class Bundle:
    """A loaded bundle: its graph, ready to run on one thread, and its metadata."""

    session: ort.InferenceSession
    metadata: Metadata

    @property
    def initial(self) -> NDArray[np.float32]:
        """State row [S] of a user never seen."""
        return np.array(self.metadata.state.initial, np.float32)


def session(model: bytes | str) -> ort.InferenceSession:
    """An ONNX Runtime session with one thread, so that the same rows give the same bits in any batch."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def load(path: str | Path) -> Bundle:
    """Open the bundle at ``path``. Raises ``FileNotFoundError``, or ``ValueError`` for what is not a bundle."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"no bundle at {path}")
    try:
        opened = session(str(path))
    except Exception as error:
        raise ValueError(f"{path} is not an ONNX model that can be run: {error}") from error
    text = opened.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
    if text is None:
        raise ValueError(
            f"{path} is an ONNX model but no seqdetect bundle: it has no '{METADATA_KEY}' metadata"
        )
    return Bundle(opened, decode(text))
