"""A run over files that is killed again and again tells the same alerts as one that nobody disturbed."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import handmade
from conftest import traffic
from seqdetect.source.write import write

KILLS = 3


def start(folder: Path, name: str) -> subprocess.Popen[bytes]:
    words = ["score", "--bundle", "bundle.onnx", "--events", "events.parquet", "--alerts", f"{name}.jsonl",
             "--checkpoint", f"{name}.ckpt", "--checkpoint-every", "0"]  # fmt: skip
    thresholds = ["--threshold", "warning=0.1", "--threshold", "critical=0.4"]
    return subprocess.Popen(
        [sys.executable, "-m", "seqdetect.cli", *words, *thresholds], cwd=folder, stderr=subprocess.PIPE
    )


def last_states(path: Path) -> dict[str, Any]:
    changes = map(json.loads, path.read_text().splitlines())
    return {change["alert_id"]: change for change in changes}


def written(path: Path) -> int | None:
    return path.stat().st_ino if path.exists() else None


def killed_at_a_checkpoint(folder: Path) -> bool:
    """Whether the run was killed; it may be done before."""
    path = folder / "killed.ckpt"
    before = written(path)
    process = start(folder, "killed")
    while process.poll() is None and written(path) in (before, None):
        time.sleep(0.001)
    process.kill()
    process.communicate()
    return process.returncode != 0


@pytest.mark.slow
def test_the_last_state_of_every_alert_is_the_same(tmp_path):
    handmade.write(tmp_path / "bundle.onnx")
    write(traffic(users=60, hours=36, rate_s=0.12), str(tmp_path / "events.parquet"))
    assert start(tmp_path, "whole").communicate()[1] is not None
    kills = sum(killed_at_a_checkpoint(tmp_path) for _ in range(KILLS))
    assert kills
    with open(tmp_path / "killed.jsonl", "a") as file:
        file.write('{"alert_id": "torn')
    (tmp_path / "killed.ckpt").write_bytes((tmp_path / "killed.ckpt").read_bytes()[:-1])
    said = start(tmp_path, "killed").communicate()[1].decode()
    assert "going on after" in said
    assert "the checkpoint before it is used" in said
    expected = last_states(tmp_path / "whole.jsonl")
    assert len(expected) > 100
    assert last_states(tmp_path / "killed.jsonl") == expected
    assert not list(tmp_path.glob("*.part"))
