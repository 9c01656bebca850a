"""What people say of a user's alerts is heard: the same behaviour later scores lower, or higher."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from feedback_said import HOUR_US, said
from numpy.typing import NDArray
from test_contest import burst

from conftest import START_US, Tables, traffic
from seqdetect.attack.flood import Flood
from seqdetect.attack.inject import Injector
from seqdetect.attack.scrape import Scrape
from seqdetect.bundle.load import load
from seqdetect.detector.learned_evidence import LearnedEvidence
from seqdetect.detector.static_threshold import StaticThreshold
from seqdetect.events import concat, sort
from seqdetect.experiment import BUDGETS, Trained, fit, write_bundle
from seqdetect.exposure import Exposure
from seqdetect.feedback.contest import scored
from seqdetect.feedback.labels import with_verdicts
from seqdetect.feedback.verdict import Verdict
from seqdetect.metrics.recall import attack_peaks
from seqdetect.metrics.ticks import Ticks
from seqdetect.prepare import Data, prepare
from seqdetect.sequence.split import Split

JOBS = (14.0, 18.0, 22.0, 26.0)
LATER = 32.0
"""Hour of a job in the time that nobody trains on."""
TICK_S = 60.0


@pytest.fixture(scope="module")
def data() -> Data:
    """Users of whom one runs the same job of twelve minutes every four hours."""
    quiet = traffic(users=8, hours=36.0, rate_s=0.01).select(
        ["timestamp", "user_id", "prompt_tokens", "completion_tokens"]
    )
    jobs: list[pa.Table] = [burst("user-1", hour, 12.0, 12.0) for hour in (*JOBS, LATER)]
    return prepare(Tables(sort(concat([quiet, *jobs]))), Split(calibration_share=0.3), TICK_S)


def taught(data: Data, verdicts: list[Verdict]) -> Trained:
    """What a head learns from simulated attacks and ``verdicts``."""
    injector = Injector({"flood": Flood(), "scrape": Scrape()}, per_user_day=6.0, service_per_day=0.0)
    detector = LearnedEvidence(StaticThreshold(), head={"rounds": 3, "epochs": 40}, folds=2)
    told = with_verdicts(data, verdicts)
    return fit("learned_evidence", detector, told, 0, BUDGETS, Exposure(injector, copies=1))


def scores(trained: Trained, data: Data) -> NDArray[np.float64]:
    """[n] of the later job's steps."""
    steps = data.history.steps
    start = START_US + LATER * HOUR_US
    job = (steps.user == data.keys.names.index("user-1")) & (steps.tick > start)
    job &= steps.tick <= start + HOUR_US / 5
    assert job.sum() > 5
    return np.asarray(trained.tail(trained.raw)[job])


@pytest.mark.slow
def test_verdicts_move_the_score_of_the_same_behaviour_later(data: Data) -> None:
    """Before anybody spoke the job stands out, by the floor alone: the head never saw the like."""
    harmless = taught(data, [said("false", "user-1", hour, hour + 0.2) for hour in JOBS])
    confirmed = taught(data, [said("true", "user-1", hour, hour + 0.2) for hour in JOBS])
    unsaid = scores(taught(data, []), data).max()
    assert unsaid > 2.5
    assert scores(harmless, data).max() < 0.6 * unsaid
    assert scores(confirmed, data).max() > unsaid


@pytest.mark.slow
def test_verdicts_of_one_author_do_not_silence_a_known_attack(data: Data, tmp_path: Path) -> None:
    """Every job of user-1 and a flood as well are called false, again and again: floods of others are still found."""
    lies = [said("false", f"user-{n}", h + 0.5, h + 0.9) for n in range(8) for h in range(10, 28)]
    trained = taught(data, [said("false", "user-1", hour, hour + 0.2) for hour in JOBS] + lies)
    write_bundle(trained, data, tmp_path / "bundle.onnx", 10.0, {})
    injector = Injector({"flood": Flood()}, per_user_day=6.0, service_per_day=0.0, strengths=("blatant",))
    events, truth = injector.inject(data.events, *data.spans.test, np.random.default_rng(5))
    found = scored(load(tmp_path / "bundle.onnx"), events)
    peaks = attack_peaks(Ticks.of(found), truth)
    assert len(peaks.rows) >= 8
    assert peaks.found(trained.thresholds["warning"].value).mean() > 0.8
