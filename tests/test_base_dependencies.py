"""The scorer runs where nothing but its base dependencies is installed."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import venv
from pathlib import Path

import pytest

from conftest import traffic
from seqdetect.source.write import write

ROOT = Path(__file__).parents[1]
FORBIDDEN = ("torch", "lightning", "pandas", "pyod", "mlflow", "hydra", "onnx", "sklearn", "scipy")


@pytest.mark.slow
def test_a_fresh_environment_scores(bundle_path, tmp_path):
    venv.create(tmp_path / "env", with_pip=True)
    python = tmp_path / "env" / "bin" / "python"
    base = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    installed = subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-c", ROOT / "constraints.txt", *base],
        capture_output=True, text=True, timeout=250,
    )  # fmt: skip
    assert installed.returncode == 0, installed.stderr
    write(traffic(users=3, hours=4), str(tmp_path / "events.jsonl"))
    program = (
        "import sys; sys.path.insert(0, sys.argv.pop(1)); from seqdetect.cli import main; status = main(sys.argv[1:]);"
        f"loaded = [name for name in {FORBIDDEN!r} if name in sys.modules]; print('loaded', loaded); sys.exit(status)"
    )
    arguments = [
        "score",
        "--bundle",
        bundle_path,
        "--events",
        tmp_path / "events.jsonl",
        "--scores",
        tmp_path / "s.parquet",
    ]
    done = subprocess.run(
        [python, "-I", "-c", program, ROOT / "src", *arguments], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "loaded []" in done.stdout
    assert (tmp_path / "s.parquet").stat().st_size > 0


def test_scoring_imports_none_of_the_training_libraries():
    program = (
        "import sys, seqdetect.cli, seqdetect.command.score, seqdetect.command.inspect, seqdetect.scorer, seqdetect.score.checkpoint, seqdetect.score.writer,"
        "seqdetect.sink.jsonl, seqdetect.source.files, seqdetect.bundle.load;"
        f"print([name for name in {FORBIDDEN!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stderr
