"""``python train.py`` from end to end on small traffic, with a real MLflow store."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import handmade
from conftest import Tables, traffic
from seqdetect import rundir
from seqdetect.metrics.confusion import confusions
from seqdetect.pipeline import stream
from seqdetect.prepare import prepare
from seqdetect.sequence.split import Split
from seqdetect.source.write import write

ROOT = Path(__file__).parents[1]


def train(folder: Path, *overrides: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [
            sys.executable,
            str(ROOT / "train.py"),
            *overrides,
            f"tracking.uri=sqlite:///{folder}/ml.db",
            f"tracking.artifacts={folder}/artifacts",
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two detectors on ten simulated users, attacks injected."""
    folder = tmp_path_factory.mktemp("swept")
    train(folder, "-m", "detector=iforest,ewma", "source.users=10", "source.days=2", "out=out")
    return folder


@pytest.mark.slow
def test_a_sweep_leaves_a_leaderboard_and_a_champion(swept: Path) -> None:
    out = swept / "out"
    for name in ("bundle.onnx", "scores.parquet", "metrics.json", "report.html", "state.ckpt", "results.csv"):
        assert (out / name).stat().st_size > 0, name
    board = pd.read_csv(out / "results.csv")
    assert set(board["detector"]) == {"iforest", "ewma", "random"}
    champion = json.loads((out / "metrics.json").read_text())
    best = board.sort_values("selection", ascending=False).iloc[0]
    assert champion["detector"] == best["detector"]
    assert champion["selection"]["on"] == "calibration"
    taken = champion["test"]["confusion"]["warning"]
    found = champion["test"]["budgets"]["warning"]["shipped"]["recall"]["kinds"]
    assert {kind: sum(taken["counts"].get(kind, {}).values()) for kind in found} == {
        kind: cell["found"] for kind, cell in found.items()
    }


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of MLflow's own libraries
def test_the_sweep_is_in_mlflow(swept: Path) -> None:
    mlflow = pytest.importorskip("mlflow")
    mlflow.set_tracking_uri(f"sqlite:///{swept}/ml.db")
    client = mlflow.MlflowClient()
    runs = client.search_runs([client.get_experiment_by_name("seqdetect").experiment_id])
    children = [run for run in runs if "mlflow.parentRunId" in run.data.tags]
    assert len(runs) == 3
    assert len(children) == 2
    for run in children:
        assert {"data_hash", "git_revision"} <= set(run.data.tags)
        assert "detector._target_" in run.data.params
        assert "test.auc_pr" in run.data.metrics
    version = client.get_model_version_by_alias("seqdetect", "champion")
    model = mlflow.onnx.load_model(f"models:/seqdetect/{version.version}")
    assert any(prop.key == "seqdetect" for prop in model.metadata_props)
    signature = mlflow.models.get_model_info(f"models:/seqdetect/{version.version}").signature
    assert {one.name for one in signature.inputs} == {"features", "population", "state_in"}


@pytest.mark.slow
def test_scores_are_those_of_the_deployed_scorer(swept: Path) -> None:
    """What the report measured is what ``seqdetect score`` writes from the same files."""
    folder = swept
    events = traffic(users=6, hours=48, seed=3, rate_s=0.02)
    times = events.column("timestamp").cast("int64").to_numpy()
    half = np.searchsorted(times, times[0] + 24 * 3600 * 10**6)
    write(events.slice(0, half), str(folder / "a.parquet"))
    write(events.slice(half), str(folder / "b.csv"))
    begin = pd.Timestamp(int(times[0]), unit="us", tz="UTC") + pd.Timedelta(hours=30)
    pd.DataFrame(
        {
            "incident_id": ["one"],
            "user_id": ["user-1"],
            "start": [begin.isoformat()],
            "end": [(begin + pd.Timedelta(hours=1)).isoformat()],
            "kind": ["our own kind"],
        }
    ).to_csv(folder / "i.csv", index=False)
    done = train(
        folder,
        "detector=ewma",
        "source=files",
        "source.events=[a.parquet,b.csv]",
        "source.incidents=i.csv",
        "split.train_end=2026-03-03T00:00:00Z",
        "split.calibration_end=2026-03-03T12:00:00Z",
        "out=files",
    )
    assert "1 labelled incident rows" in done.stdout
    assert done.stderr.splitlines()[-1].startswith("events: ")
    scored = subprocess.run(
        [sys.executable, "-m", "seqdetect.cli", "score", "--bundle", "files/bundle.onnx", "--events", "a.parquet", "b.csv",
         "--scores", "again.parquet"],
        cwd=folder, capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert scored.returncode == 0, scored.stderr
    trained = pq.read_table(folder / "files" / "scores.parquet")
    assert set(trained.column("split").to_pylist()) == {"calibration", "test"}
    again = pq.read_table(folder / "again.parquet").to_pandas()
    both = trained.to_pandas().merge(again, on=["user_id", "timestamp"], suffixes=("", "_again"))
    assert len(both) == trained.num_rows
    assert (both["score"] == both["score_again"]).all()
    assert (both["level"] == both["level_again"]).all()


@pytest.mark.slow
def test_a_minimal_file_needs_no_configuration(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    seconds = np.sort(rng.uniform(0, 8 * 3600, 400))
    frame = pd.DataFrame(
        {
            "timestamp": (pd.Timestamp("2026-03-01") + pd.to_timedelta(seconds, unit="s")).strftime(
                "%Y-%m-%d %H:%M:%S.%f"
            ),
            "user_id": [f"u{i}" for i in rng.integers(0, 3, 400)],
            "request_tokens": rng.integers(10, 900, 400),
            "response_tokens": rng.integers(1, 300, 400),
        }
    )
    frame.to_csv(tmp_path / "mine.csv", index=False)
    with open(tmp_path / "mine.csv", "a") as file:
        file.write("2026-03-01T03:00:00Z,u1,-5,10\nnonsense\n2099-01-01T00:00:00Z,u1,5,10\n")
    done = train(tmp_path, "source=files", "source.events=mine.csv", "out=mine", "trainer.max_epochs=2")
    assert "mine.csv line 402 field prompt_tokens" in done.stdout + done.stderr
    assert "3 rejected" in done.stderr
    assert "no incident is labelled" in done.stdout
    metrics = json.loads((tmp_path / "mine" / "metrics.json").read_text())
    assert metrics["detector"] == "learned_evidence"
    assert metrics["calibration"]["labels"] == "clean only"


@pytest.mark.slow
def test_mistakes_in_the_spans_are_named(tmp_path: Path) -> None:
    write(traffic(users=2, hours=10), str(tmp_path / "e.parquet"))
    done = subprocess.run(
        [sys.executable, str(ROOT / "train.py"), "source=files", "source.events=e.parquet", "detector=ewma",
         "split.train_end=2027-01-01", "out=o", f"tracking.uri=sqlite:///{tmp_path}/ml.db"],
        cwd=tmp_path, capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "the spans are not in order" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("source.events=none-*.csv", "no file matches none-*.csv"),
        ("source.timezone=Mars/X", "timezone 'Mars/X' is not known"),
        ("seed=0", "Missing mandatory value: source.events"),
    ],
)
def test_mistakes_are_one_clear_line(tmp_path: Path, override: str, message: str) -> None:
    events = [] if override == "seed=0" else ["source.events=e.csv"]
    done = subprocess.run(
        [sys.executable, str(ROOT / "train.py"), "source=files", *events, override, "detector=ewma", "out=o",
         f"tracking.uri=sqlite:///{tmp_path}/ml.db"],
        cwd=tmp_path, capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_stream_tells_what_its_hot_steps_were_taken_for(events: pa.Table, tmp_path: Path) -> None:
    data = prepare(Tables(events), Split())
    handmade.write(tmp_path / rundir.BUNDLE)
    scores, guesses, _ = stream(data, tmp_path)
    hot = scores[scores["score"] >= handmade.THRESHOLDS["warning"]]
    assert 0 < len(hot) < len(scores)
    assert set(guesses.steps) == set(zip(hot["user_id"], hot["timestamp"], strict=True))
    assert set(guesses.steps.values()) <= {"unknown", "wallet"}
    assert "wallet" in guesses.steps.values()
    assert guesses.kinds == handmade.KINDS
    # a label around a hot step finds what it was taken for: both go by the same name and time
    user, tick = next(iter(guesses.steps))
    rows = pd.DataFrame(
        {"incident_id": ["i"], "user_id": [user], "start": [tick - 1], "end": [tick + 1], "kind": ["wallet"]}
    )
    found = confusions(scores, rows, (tick - 1, tick + 1), {"warning": 0.0}, guesses)
    assert found["warning"]["known"] == 1
    assert found["warning"]["counts"] == {"wallet": {guesses.steps[user, tick]: 1}}
    lines = (tmp_path / rundir.ALERTS).read_text().splitlines()
    assert "wallet" in {json.loads(line)["kind"] for line in lines}
