"""What a bundle carries, and what is refused."""

from __future__ import annotations

import msgspec
import numpy as np
import onnx
import pytest

from seqdetect.bundle import export
from seqdetect.bundle.load import load
from seqdetect.bundle.schema import METADATA_KEY, decode, encode
from seqdetect.calibration.tail import Tail
from seqdetect.detector.block.context import COLUMNS
from seqdetect.detector.block.normal import Prior
from seqdetect.detector.compose import step_graph
from seqdetect.detector.ewma import Ewma
from seqdetect.sequence.features import NAMES


def test_metadata_comes_back_whole(bundle_path):
    meta = load(bundle_path).metadata
    assert [column.name for column in meta.features] == list(NAMES)
    assert decode(encode(meta)) == meta
    assert meta.state.width == len(meta.state.initial) == sum(slot.width for slot in meta.state.slots)
    assert meta.state.bytes_per_user == 4 * meta.state.width
    assert set(meta.thresholds) == {"critical", "warning"}
    assert meta.thresholds["critical"].value >= meta.thresholds["warning"].value
    assert meta.parity.largest_difference <= meta.parity.tolerance


def test_the_state_hash_ignores_the_calibration_but_not_the_state():
    def state(tail_slope: float, memory_s: float, mean: float):
        prior = Prior(np.full(COLUMNS, mean, np.float32), np.ones(COLUMNS, np.float32))
        tail = Tail(np.array([0.0, 1.0]), np.array([0.0, 1.0]), tail_slope)
        model, graph = step_graph(Ewma(long_s=memory_s), prior, tail)
        return export.describe_state(model, graph.initial)

    plain = state(1.0, 86_400.0, 0.0)
    assert state(2.0, 86_400.0, 0.0).hash == plain.hash  # another calibration keeps the state
    assert state(1.0, 7_200.0, 0.0).hash != plain.hash  # another time constant makes another state
    assert (
        state(1.0, 86_400.0, 1.0).hash == plain.hash
    )  # where a new user starts does not matter to the old ones
    assert state(1.0, 86_400.0, 1.0).initial != plain.initial


def test_other_files_are_refused(tmp_path, bundle_path):
    with pytest.raises(FileNotFoundError, match="no bundle"):
        load(tmp_path / "none.onnx")
    (tmp_path / "text.onnx").write_text("hello")
    with pytest.raises(ValueError, match="not an ONNX model"):
        load(tmp_path / "text.onnx")
    model = onnx.load(str(bundle_path))
    del model.metadata_props[:]
    onnx.save(model, str(tmp_path / "bare.onnx"))
    with pytest.raises(ValueError, match="no seqdetect bundle"):
        load(tmp_path / "bare.onnx")


def test_metadata_of_another_version_is_refused(bundle_path):
    document = msgspec.to_builtins(load(bundle_path).metadata) | {"schema_version": 99}
    with pytest.raises(ValueError, match="schema version 99"):
        decode(msgspec.json.encode(document).decode())
    document |= {"schema_version": 1, "tick_s": "ten"}
    with pytest.raises(ValueError, match="tick_s"):
        decode(msgspec.json.encode(document).decode())
    assert METADATA_KEY == "seqdetect"


def test_a_graph_that_does_not_follow_its_model_is_refused():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=500)
    assert export.check_parity(truth + 1e-7, truth, truth, "x").largest_difference < 1e-5
    with pytest.raises(export.ParityError, match="step 17"):
        export.check_parity(truth + 0.01 * (np.arange(500) == 17), truth, truth, "x")
    with pytest.raises(export.ParityError):
        export.check_parity(np.full(500, np.nan), truth, truth, "x")
