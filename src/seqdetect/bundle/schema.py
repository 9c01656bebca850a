"""The JSON document that a bundle carries in its ONNX metadata."""

from __future__ import annotations

from typing import Any, Final

import msgspec

SCHEMA_VERSION: Final = 1
METADATA_KEY: Final = "seqdetect"


class FeatureColumn(msgspec.Struct, frozen=True):
    """One input column: ``neutral`` replaces missing values, and all values where training had none."""

    name: str
    unit: str
    group: str
    neutral: float
    observed: bool


class Slot(msgspec.Struct, frozen=True):
    """A named slice of the state row."""

    name: str
    start: int
    width: int


class State(msgspec.Struct, frozen=True):
    """Layout of the state row, float32. Equal hashes mean that a stored state may be kept."""

    width: int
    bytes_per_user: int
    slots: list[Slot]
    initial: list[float]
    hash: str


class Threshold(msgspec.Struct, frozen=True):
    """A threshold for one tier, with the evidence it was set on."""

    value: float
    budget_per_user_week: float
    episodes: int
    """False-alert episodes seen on clean calibration data at this threshold."""
    exposure_user_weeks: float
    confidence: float
    upper_bound_per_user_week: float
    """Poisson upper confidence bound of the false-alert rate."""
    statement: str


class Parity(msgspec.Struct, frozen=True):
    """How closely the graph follows the trained detector on rows of the training span."""

    reference: str
    rows: int
    largest_difference: float
    tolerance: float
    """Largest allowed |a - b| / max(|b|, IQR of the training scores)."""


class Metadata(msgspec.Struct, frozen=True):
    """Everything a scorer needs beside the graph."""

    schema_version: int
    detector: str
    key: str
    tick_s: float
    lateness_s: float
    features: list[FeatureColumn]
    population: list[str]
    state: State
    thresholds: dict[str, Threshold]
    kinds: list[str]
    calibration: dict[str, Any]
    parity: Parity
    provenance: dict[str, Any]

    @property
    def version(self) -> str:
        """Short name of this very bundle, for alerts: detector and training run."""
        return f"{self.detector}-{str(self.provenance.get('run_id', 'local'))[:12]}"


def encode(metadata: Metadata) -> str:
    """The document as JSON text."""
    return msgspec.json.encode(metadata).decode()


def decode(text: str) -> Metadata:
    """Read and validate; ``ValueError`` says which key is wrong or that the version is unknown."""
    try:
        version = msgspec.json.decode(text, type=dict[str, Any]).get("schema_version")
        if version != SCHEMA_VERSION:
            raise ValueError(
                f"schema version {version!r} is not {SCHEMA_VERSION}: retrain or upgrade seqdetect"
            )
        return msgspec.json.decode(text, type=Metadata)
    except msgspec.DecodeError as error:
        raise ValueError(f"the bundle's metadata is not valid: {error}") from error
