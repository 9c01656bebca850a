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
from seqdetect import exposure
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
FLOODS = Injector({"flood": Flood()}, per_user_day=6.0, service_per_day=0.0, strengths=("blatant",))


def usual_traffic() -> pa.Table:
    """A day and a half, without anything in it."""
    made = traffic(users=8, hours=36.0, rate_s=0.01)
    return made.select(["timestamp", "user_id", "prompt_tokens", "completion_tokens"])


@pytest.fixture(scope="module")
def data() -> Data:
    """Users of whom one runs the same job of twelve minutes every four hours."""
    jobs: list[pa.Table] = [burst("user-1", hour, 12.0, 12.0) for hour in (*JOBS, LATER)]
    return prepare(Tables(sort(concat([usual_traffic(), *jobs]))), Split(calibration_share=0.3), TICK_S)


def taught(data: Data, verdicts: list[Verdict], **settings: float) -> Trained:
    """What a head learns from simulated attacks and ``verdicts``."""
    injector = Injector({"flood": Flood(), "scrape": Scrape()}, per_user_day=6.0, service_per_day=0.0)
    detector = LearnedEvidence(StaticThreshold(), head={"rounds": 2, "epochs": 40}, folds=2)
    told = with_verdicts(data, verdicts)
    return fit("learned_evidence", detector, told, 0, BUDGETS, Exposure(injector, copies=1, **settings))


def scores(trained: Trained, data: Data) -> NDArray[np.float64]:
    """[n] of the later job's steps."""
    steps = data.history.steps
    start = START_US + LATER * HOUR_US
    job = (steps.user == data.keys.names.index("user-1")) & (steps.tick > start)
    job &= steps.tick <= start + HOUR_US / 5
    assert job.sum() > 5
    return np.asarray(trained.tail(trained.raw)[job])


def later_floods(trained: Trained, data: Data, path: Path) -> float:
    """The mean peak score of blatant floods in the time that nobody trains on."""
    write_bundle(trained, data, path, 10.0, {})
    events, truth = FLOODS.inject(data.events, *data.spans.test, np.random.default_rng(5))
    peaks = attack_peaks(Ticks.of(scored(load(path), events)), truth)
    assert len(peaks.rows) >= 8
    return float(peaks.peak.mean())


@pytest.mark.slow
def test_verdicts_move_the_score_of_the_same_behaviour_later(data: Data) -> None:
    """The job stands out at first, by the floor alone: the head never saw the like."""
    unsaid = scores(taught(data, []), data).max()
    assert unsaid > 2.5
    harmless = taught(data, [said("false", "user-1", hour, hour + 0.2) for hour in JOBS])
    assert scores(harmless, data).max() < 0.6 * unsaid
    confirmed = taught(data, [said("true", "user-1", hour, hour + 0.2) for hour in JOBS])
    assert scores(confirmed, data).max() > unsaid


@pytest.mark.slow
def test_verdicts_of_one_author_do_not_silence_a_known_attack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody calls every real flood false, with all the weight there is: the limit is what keeps them in sight."""
    past = START_US + 10 * HOUR_US, START_US + 28 * HOUR_US
    events, truth = FLOODS.inject(usual_traffic(), *past, np.random.default_rng(9), count=18)
    data = prepare(Tables(events), Split(calibration_share=0.3), TICK_S)
    lies = [
        said("false", user, (start - START_US) / HOUR_US, (end - START_US) / HOUR_US)
        for user, start, end in zip(truth["user_id"], truth["start"], truth["end"], strict=True)
    ]
    path = tmp_path / "bundle.onnx"
    unsaid = later_floods(taught(data, []), data, path)
    told = later_floods(taught(data, lies, verdict_weight=2000.0), data, path)
    assert told > 0.8 * unsaid
    monkeypatch.setattr(exposure, "restrained", lambda weight, *_: weight)
    assert later_floods(taught(data, lies, verdict_weight=2000.0), data, path) < 0.7 * told
