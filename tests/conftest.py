"""Traffic and bundles that many tests share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from seqdetect.events import MICROSECONDS, conform

START_US = 1_772_409_600 * MICROSECONDS  # 2026-03-02T00:00:00Z


def traffic(users: int = 6, hours: float = 36.0, seed: int = 0, rate_s: float = 0.02) -> pa.Table:
    """Events in time order with every optional column; ``rate_s`` requests a second and user, in sessions."""
    rng = np.random.default_rng(seed)
    parts = []
    for user in range(users):
        awake = np.sort(rng.uniform(0, hours * 3600, int(rng.poisson(rate_s * hours * 3600))))
        awake = awake[(awake // 1800).astype(int) % (2 + user % 3) != 0]
        n = len(awake)
        prompt = rng.lognormal(5 + user % 3, 0.7, n).astype(np.int64)
        parts.append(
            pa.table(
                {
                    "timestamp": pa.array(START_US + (awake * MICROSECONDS).astype(np.int64)).cast(
                        pa.timestamp("us", "UTC")
                    ),
                    "user_id": [f"user-{user}"] * n,
                    "prompt_tokens": prompt,
                    "completion_tokens": rng.lognormal(4.5, 0.8, n).astype(np.int64),
                    "model": [f"model-{i}" for i in rng.integers(0, 2, n)],
                    "client_ip": [f"10.0.{user}.{i}" for i in rng.integers(0, 4, n)],
                    "status": np.where(rng.random(n) < 0.02, 500, 200),
                    "latency_ms": rng.lognormal(6, 0.4, n),
                }
            )
        )
    table = conform(pa.concat_tables(parts))
    return table.take(
        pa.array(np.argsort(table.column("timestamp").cast(pa.int64()).to_numpy(), kind="stable"))
    )


@pytest.fixture(scope="session")
def events() -> pa.Table:
    """Six users, a day and a half."""
    return traffic()


@pytest.fixture(scope="session")
def bundle_path(events: pa.Table, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An isolation forest trained on ``events``: quick to make, and a real bundle."""
    pytest.importorskip("pyod")
    from seqdetect import experiment
    from seqdetect.detector.iforest import Iforest
    from seqdetect.prepare import prepare
    from seqdetect.sequence.split import Split

    data = prepare(Tables(events), Split())
    trained = experiment.fit("iforest", Iforest(trees=20), data, 0, experiment.BUDGETS)
    path = tmp_path_factory.mktemp("bundle") / "bundle.onnx"
    experiment.write_bundle(trained, data, path, 10.0, {"run_id": "test"})
    return path


class Tables:
    """A source that hands on a table as it is."""

    licence = "none"
    reference = "made by the tests"

    def __init__(self, *tables: pa.Table) -> None:
        self.tables = tables

    def read(self, tally):  # type: ignore[no-untyped-def]
        for table in self.tables:
            tally.read += table.num_rows
            yield table

    def incidents(self) -> None:
        return None
