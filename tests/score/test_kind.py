"""Kinds: the most probable one where it is more likely right than wrong, read for hot rows alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import handmade
from conftest import START_US
from seqdetect.bundle.load import load
from seqdetect.events import MICROSECONDS, Tally, concat, conform, sort
from seqdetect.score.engine import Engine, Scored
from seqdetect.score.kind import named


def burst(user: str, requests: int, tokens: int, tick: int = 0) -> pa.Table:
    """``requests`` of ``tokens`` completion tokens within one tick."""
    times = START_US + tick * 10 * MICROSECONDS + np.arange(requests) * 1000
    return conform(
        pa.table(
            {
                "timestamp": pa.array(times).cast(pa.timestamp("us", "UTC")),
                "user_id": [user] * requests,
                "prompt_tokens": [100] * requests,
                "completion_tokens": [tokens] * requests,
            }
        )
    )


def scored(path: Path, *bursts: pa.Table) -> Scored:
    engine = Engine(load(path), Tally())
    engine.push(sort(concat(list(bursts))))
    return engine.flush()


@pytest.mark.parametrize(
    ("probability", "kind"),
    [
        ([0.1, 0.8, 0.1], "flood"),
        ([0.0, 0.5, 0.5], "flood"),
        ([0.2, 0.31, 0.49], "unknown"),
        ([0.9, 0.1, 0.0], "unknown"),
        ([np.nan, np.nan, np.nan], "unknown"),
    ],
)
def test_a_kind_is_named_from_one_half_on(probability: list[float], kind: str) -> None:
    assert named(handmade.KINDS, np.array([probability], np.float32)) == [kind]


def test_hot_rows_are_named_where_one_kind_is_sure_and_others_are_not(tmp_path: Path) -> None:
    bursts = (
        burst("calm", 3, 100),
        burst("many", 400, 100),
        burst("long", 3, 90_000),
        burst("both", 400, 40_000),
    )
    got = scored(handmade.write(tmp_path / "b.onnx"), *bursts)
    kinds = {got.names[got.user[row]]: kind for row, kind in got.kind.items()}
    assert kinds == {"many": "flood", "long": "wallet", "both": "unknown"}
    assert set(got.kind) == set(got.causes) == set(np.flatnonzero(got.level))


def test_a_graph_that_does_not_tell_gives_unknown(tmp_path: Path) -> None:
    got = scored(handmade.write(tmp_path / "b.onnx", tells=False), burst("many", 400, 100))
    assert got.kind == {0: "unknown"}
    assert got.causes[0][0].scale_s is None


def test_the_kind_owes_nothing_to_who_else_was_scored(tmp_path: Path) -> None:
    path = handmade.write(tmp_path / "b.onnx")
    others = [burst(f"u{i}", 20 + i, 5000) for i in range(40)]
    together = scored(path, burst("a", 60, 5000), *others)
    row = together.names.index("a")
    alone = scored(path, burst("a", 60, 5000))
    at = int(np.flatnonzero(together.user == row)[0])
    assert together.kind[at] == alone.kind[0]
    assert together.score[at] == alone.score[0]


def test_names_must_fit_the_graph(tmp_path: Path) -> None:
    path = handmade.write(tmp_path / "b.onnx", kinds=["unknown", "flood"])
    with pytest.raises(ValueError, match=r"tells 3 kinds apart and its metadata names 2"):
        Engine(load(path), Tally())
