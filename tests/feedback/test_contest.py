"""Who is better: decided on time held back, by a rule that neither wishful verdicts nor luck get past."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from feedback_said import HOUR_US, said

import handmade
from conftest import START_US, Tables, traffic
from seqdetect.attack.flood import Flood
from seqdetect.attack.inject import Injector
from seqdetect.events import MICROSECONDS, concat, conform, sort
from seqdetect.feedback.contest import Difference, Rule, contest
from seqdetect.feedback.labels import with_verdicts
from seqdetect.prepare import Data, prepare
from seqdetect.sequence.split import Split

FEWER = Difference(3.0, 1.0, -2.0, -3.0, -1.0)
SAME = Difference(0.8, 0.8, 0.0, -0.04, 0.04)
MORE = Difference(0.6, 0.8, 0.2, 0.1, 0.3)
UNSURE = Difference(0.6, 0.8, 0.2, -0.2, 0.5)


@pytest.mark.parametrize(
    ("alerts", "recall", "lost", "promoted", "why"),
    [
        (FEWER, SAME, {}, True, "fewer false alerts"),
        (SAME, MORE, {}, True, "more recall"),
        (SAME, SAME, {}, False, "not better beyond the interval"),
        (FEWER, UNSURE, {}, False, "may lose more than 0.05 of recall"),
        (Difference(1.0, 3.0, 2.0, 1.0, 3.0), MORE, {}, False, "not better"),
        (FEWER, MORE, {"drip": 0.5}, False, "no longer finds drip"),
        (FEWER, None, {}, False, "recall cannot be compared"),
    ],
)
def test_the_rule(
    alerts: Difference, recall: Difference | None, lost: dict[str, float], promoted: bool, why: str
) -> None:
    decided, reason = Rule().decide(alerts, recall, lost, 7.0)
    assert decided is promoted
    assert why in reason


def burst(user: str, hour: float, minutes: float, per_minute: float) -> pa.Table:
    """A burst of small requests of ``user``."""
    count = int(minutes * per_minute)
    times = START_US + (hour * 3600 + np.arange(count) * 60 / per_minute) * MICROSECONDS
    return conform(
        pa.table(
            {
                "timestamp": pa.array(times.astype(np.int64)).cast(pa.timestamp("us", "UTC")),
                "user_id": [user] * count,
                "prompt_tokens": np.full(count, 100),
                "completion_tokens": np.full(count, 10),
            }
        )
    )


@pytest.fixture(scope="module")
def data() -> Data:
    """Every user has a job of 150 requests a minute in the last hours, judged harmless for some, and one an attack."""
    quiet = traffic(users=12, hours=48.0, rate_s=0.004).select(
        ["timestamp", "user_id", "prompt_tokens", "completion_tokens"]
    )
    jobs = [burst(f"user-{n}", h, 5.0, 150.0) for n in range(12) for h in (38.0, 42.0)]
    attack = [burst(f"user-{n}", 45.0, 5.0, 1500.0) for n in range(9)]
    data = prepare(Tables(sort(concat([quiet, *jobs, *attack]))), Split())
    verdicts = [said("benign", f"user-{n}", 38.0, 38.1) for n in range(4)]
    return with_verdicts(data, verdicts + [said("true", f"user-{n}", 45.0, 45.1) for n in range(9)])


def bundle(path: Path, warning: float, monkeypatch: pytest.MonkeyPatch, budget: float = 1.0) -> Path:
    """One that alerts from ``warning`` on, in logarithms of requests per tick over ten."""
    monkeypatch.setattr(handmade, "THRESHOLDS", {"warning": warning, "critical": 9.0})
    threshold = handmade.Threshold
    monkeypatch.setattr(
        handmade, "Threshold", lambda value, _, *rest: threshold(value, budget, *rest), raising=True
    )
    handmade.write(path)
    monkeypatch.setattr(handmade, "Threshold", threshold)
    return path


def test_a_challenger_that_spares_the_jobs_and_finds_the_attacks_wins(
    data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noisy = bundle(tmp_path / "noisy.onnx", 0.5, monkeypatch)  # 25 requests a tick
    quiet = bundle(tmp_path / "quiet.onnx", 2.5, monkeypatch)
    deaf = bundle(tmp_path / "deaf.onnx", 8.0, monkeypatch)
    found = contest(noisy, quiet, data, None, 0)
    assert found["promoted"], found["reason"]
    alerts, recall = found["false_alerts_per_user_week"], found["recall"]
    assert alerts["challenger"] == 0
    assert alerts["champion"] * found["user_weeks"] == pytest.approx(24)
    assert (recall["champion"], recall["challenger"]) == (1.0, 1.0)
    assert found["judged_harmless"] == {"held_back": 4, "quiet_champion": 0, "quiet_challenger": 4}
    back = contest(quiet, noisy, data, None, 0)
    assert not back["promoted"]
    nothing = contest(noisy, deaf, data, None, 0)
    assert not nothing["promoted"]
    assert nothing["kinds_lost"] == {"flood": 1.0}
    assert contest(noisy, quiet, data, None, 0) == found, "the same seed gives the same intervals"


def test_verdicts_alone_do_not_make_deafness_win(
    data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody calls every attack false: the simulated ones, which no word reaches, tell the difference."""
    assert data.incidents is not None
    quiet = bundle(tmp_path / "quiet.onnx", 0.1, monkeypatch)
    deaf = bundle(tmp_path / "deaf.onnx", 8.0, monkeypatch)
    bare = prepare(Tables(data.events), Split())
    lies = with_verdicts(bare, [said("false", f"user-{n}", 45.0, 45.1) for n in range(9)])
    injector = Injector({"flood": Flood()}, per_user_day=6.0, service_per_day=0.0, strengths=("blatant",))
    found = contest(quiet, deaf, lies, injector, 0)
    assert found["false_alerts_per_user_week"]["high"] < 0, "it looks better to whoever believes them"
    assert not found["promoted"]
    assert "flood" in found["kinds_lost"], found
    assert not contest(quiet, deaf, lies, None, 0)["promoted"], "nor where nothing could be simulated"


def test_attacks_that_nobody_labelled_are_not_asked_for(
    data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = prepare(Tables(data.events), Split())
    one = bundle(tmp_path / "one.onnx", 0.5, monkeypatch)
    found = contest(one, one, bare, None, 0)
    assert found["recall"] is None
    assert not found["promoted"]


def test_bundles_of_other_budgets_are_not_compared(
    data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = bundle(tmp_path / "one.onnx", 0.5, monkeypatch)
    other = bundle(tmp_path / "other.onnx", 0.5, monkeypatch, budget=3.0)
    with pytest.raises(ValueError, match=r"train with budgets\.warning=1"):
        contest(one, other, data, None, 0)


def test_held_back_is_what_began_after_calibration(data: Data) -> None:
    assert data.incidents is not None
    began = pd.Series(data.incidents["start"])
    assert (began >= data.spans.calibration_end).all()
    assert int(began.min()) == START_US + 38 * HOUR_US
