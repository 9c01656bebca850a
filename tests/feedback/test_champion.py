"""Promotion and rollback in a real MLflow store, from the command that people type."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from feedback_said import said

import handmade
from conftest import Tables, traffic
from seqdetect import rundir
from seqdetect.cli import main
from seqdetect.feedback import promotion
from seqdetect.prepare import prepare
from seqdetect.sequence.split import Split

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # of MLflow's own libraries


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three bundles that differ in the kinds they name."""
    folder = tmp_path_factory.mktemp("bundles")
    return [handmade.write(folder / f"{n}.onnx", ["unknown", "flood", f"kind-{n}"]) for n in (1, 2, 3)]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, bundles: list[Path]) -> Iterator[Path]:
    """An MLflow store in which the three were crowned one after the other."""
    tracking = pytest.importorskip("seqdetect.tracking")
    folder = tmp_path_factory.mktemp("mlflow")
    tracker = tracking.Tracker(f"sqlite:///{folder}/ml.db", str(folder / "artifacts"))
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    for number, bundle in enumerate(bundles, start=1):
        with tracker.run(f"run-{number}", {}, {}):
            assert tracker.crown(tracker.bundle(bundle)) == number
    yield folder / "ml.db"
    tracking.mlflow.set_tracking_uri("")


def champion(store: Path, *words: object) -> int:
    return main(["champion", *map(str, words), "--tracking", f"sqlite:///{store}"])


def test_going_back_and_forth(
    store: Path, bundles: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert champion(store, "show") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1:3] for line in lines[:2]] == [["3", "champion"], ["2", "previous"]]
    out = tmp_path / "served" / "bundle.onnx"
    out.parent.mkdir()
    out.write_bytes(b"what the service reads now")
    assert champion(store, "rollback", "--out", out) == 0
    assert "version 2 is champion again, in place of 3" in capsys.readouterr().out
    assert out.read_bytes() == bundles[1].read_bytes()
    assert [one.name for one in out.parent.iterdir()] == ["bundle.onnx"], "nothing is left lying about"
    assert champion(store, "rollback", "--out", out) == 0
    assert out.read_bytes() == bundles[0].read_bytes()
    assert champion(store, "rollback", "--out", out) == 2
    assert "the first champion: there is none to go back to" in capsys.readouterr().err
    assert out.read_bytes() == bundles[0].read_bytes()
    assert champion(store, "promote", 3, "--out", out) == 0
    assert out.read_bytes() == bundles[2].read_bytes()
    assert champion(store, "rollback") == 0
    assert "version 1 is champion again" in capsys.readouterr().out
    champion(store, "promote", 3)


def test_what_is_not_there_is_one_line(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert champion(store, "promote", 77) == 2
    assert "there is no version 77" in capsys.readouterr().err
    assert champion(tmp_path / "none.db", "rollback") == 2
    assert "no MLflow store at" in capsys.readouterr().err
    assert not (tmp_path / "none.db").exists()


def test_only_a_better_one_takes_the_place(
    store: Path, bundles: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever wins, ``bundle.onnx`` is the champion's afterwards; a challenger that lost lies beside it."""
    tracking = pytest.importorskip("seqdetect.tracking")
    tracker = tracking.Tracker(f"sqlite:///{store}", str(store.parent / "artifacts"))
    data = prepare(Tables(traffic(users=3, hours=12.0)), Split())
    before = tracker.champion()
    for promoted in (False, True):
        seen: list[tuple[bytes, bytes]] = []

        def decided(
            champion: Path,
            challenger: Path,
            *rest: object,
            won: bool = promoted,
            seen: list[tuple[bytes, bytes]] = seen,
        ) -> dict[str, object]:
            seen.append((champion.read_bytes(), challenger.read_bytes()))
            return {"promoted": won, "reason": "of the test"}

        monkeypatch.setattr(promotion, "contest", decided)
        out = tmp_path / str(promoted)
        out.mkdir()
        mine = handmade.write(out / rundir.BUNDLE, ["unknown", "flood", "newest"]).read_bytes()
        with tracker.run("challenger", {}, {}):
            (out / rundir.MODEL_URI).write_text(tracker.bundle(out / rundir.BUNDLE))
            said_of_it = promotion.challenge(tracker, out, data, None, 0)
        assert seen == [(bundles[2].read_bytes(), mine)]
        assert json.loads((out / rundir.COMPARISON).read_text())["promoted"] is promoted
        if promoted:
            assert said_of_it == f"promoted to version 4, in place of {before}: of the test"
            assert (tracker.champion(), (out / rundir.BUNDLE).read_bytes()) == (4, mine)
        else:
            assert said_of_it == f"not promoted, version {before} stays champion: of the test"
            assert tracker.champion() == before
            assert (out / rundir.BUNDLE).read_bytes() == bundles[2].read_bytes()
            assert (out / "challenger.onnx").read_bytes() == mine
    assert tracker.rollback() == (4, before)


def test_a_run_from_end_to_end(tmp_path: Path) -> None:
    """``train.py feedback=``: the first is crowned; the second is held against it, and its verdicts are labels."""
    from seqdetect.feedback.store import Verdicts
    from seqdetect.source.write import write
    from test_pipeline import train

    write(traffic(users=6, hours=36.0, seed=3), str(tmp_path / "e.parquet"))
    settings = ["detector=ewma", "source=files", "source.events=e.parquet", "feedback=v.db"]
    store = Verdicts(tmp_path / "v.db")
    first = train(tmp_path, *settings, "out=one").stdout
    assert "version 1 is the first champion: there was none to beat" in first
    store.take([said("true", "user-1", 20.0, 20.5), said("false", "user-2", 20.0, 20.5)])
    second = train(tmp_path, *settings, "out=two").stdout
    assert "version 1 stays champion" in second
    comparison = json.loads((tmp_path / "two" / "comparison.json").read_text())
    assert comparison["attacks"], "attacks were simulated in the time held back"
    assert (tmp_path / "two" / "bundle.onnx").read_bytes() == (tmp_path / "one" / "bundle.onnx").read_bytes()
    kinds = json.loads((tmp_path / "two" / "metrics.json").read_text())["data"]["incidents"]
    assert kinds == {"flood": 1, "benign_feedback": 1}
