"""What becomes of alerts is counted once, whatever comes twice."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry

import handmade
from changes import change
from seqdetect.bundle.load import load
from seqdetect.scorer import Model
from seqdetect.serve.alerted import Alerted


@pytest.fixture
def counted(tmp_path):
    registry = CollectorRegistry()
    alerted = Alerted(registry)
    alerted.models([Model("users", load(handmade.write(tmp_path / "b.onnx")), thresholds={"warning": 0.7})])

    def told(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(f"seqdetect_{name}", {"model": "users"} | labels)

    return alerted, told


def test_an_alert_counts_once_at_each_tier_that_it_reaches(counted):
    alerted, told = counted
    alerted.add([change(tier="warning", severity="warning"), change("update", tier="warning", kind="wallet")])
    assert told("alerts_reached_total", tier="warning") == 1
    assert told("alerts_reached_total", tier="critical") == 0
    alerted.add([change("update"), change("update"), change("resolve")])
    assert told("alerts_reached_total", tier="critical") == told("alerts_reached_total", tier="warning") == 1
    assert told("alerts_opened_total", severity="warning", kind="flood") == 1


def test_an_alert_that_comes_back_is_the_same_alert(counted):
    alerted, told = counted
    alerted.add([change(), change("resolve"), change(reopened=1), change("resolve", reopened=1)])
    assert told("alerts_opened_total", severity="critical", kind="flood") == 1
    assert told("alerts_reached_total", tier="critical") == 1
    assert told("alerts_reopened_total") == 1


def test_an_alert_is_muted_once_and_may_be_told_later(counted):
    alerted, told = counted
    muted = {"muted": True, "severity": "warning", "tier": "warning"}
    alerted.add([change(**muted), change("update", **muted), change("open")])
    assert told("alerts_muted_total", severity="warning") == 1
    assert told("alerts_opened_total", severity="warning", kind="flood") == 1
    assert told("alerts_opened_total", severity="critical", kind="flood") == 0
    assert told("alerts_reached_total", tier="critical") == 1


def test_the_overflow_alert_uses_up_no_budget(counted):
    alerted, told = counted
    alerted.add([change(kind="overflow", user_id="*", left_out=3)])
    assert told("alerts_opened_total", severity="critical", kind="overflow") == 1
    assert told("alerts_reached_total", tier="critical") == 0


def test_what_was_open_at_the_start_was_counted_then(counted):
    alerted, told = counted
    alerted.resume([change("update")])
    alerted.add([change("update"), change("resolve")])
    assert told("alerts_reached_total", tier="critical") == 0


def test_a_threshold_of_ones_own_has_no_budget(counted):
    _, told = counted
    assert told("alert_budget_per_user_week", tier="critical") == 1
    assert told("alert_budget_per_user_week", tier="warning") is None
