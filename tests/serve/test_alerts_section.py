"""The section ``alerts`` and prices by LLM: what they stand for, and that both are read again on SIGHUP."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import pytest

import handmade
from seqdetect.alert import policy
from seqdetect.alert.policy import Escalate, Objectives, Policy
from seqdetect.alert.prices import Price, Prices
from seqdetect.scorer import Model
from seqdetect.serve import process

from .running import Service, calm, event, until

TEXT = """
models: [{name: tokens, bundle: bundle.onnx, prices: %s}]
input: {stdin: }
outputs: [{jsonl: {path: alerts.jsonl}}]
checkpoint: {folder: state}
alerts: %s
"""
WHOLE = """
  quiet_s: 300
  hysteresis: 0.2
  cooldown_s: 0
  escalate: {cost_per_hour_usd: 50, traffic_share: 0.3, slo_burn: 14.4}
  demote_below_usd_per_hour: 1
  objectives: {availability: 0.999, latency: 0.9, latency_ms: 5000}
  teams: {night: [flood], day: []}
  cap_per_day: {warning: null, critical: 0}
  calendar:
    - {name: launch, start: 2026-03-02T09:00:00Z, end: 2026-03-02}
"""
DAY_US = 1_772_409_600_000_000


def planned(folder: Path, prices: str = "null", alerts: str = "") -> Model:
    handmade.write(folder / "bundle.onnx")
    (folder / "scorer.yaml").write_text(TEXT % (prices, alerts))
    (model,) = process.plan(folder / "scorer.yaml").models
    return model


def test_nothing_means_the_defaults(tmp_path):
    model = planned(tmp_path)
    assert (model.policy, model.prices) == (Policy(), None)
    assert model.policy.teams == policy.TEAMS


def test_every_setting_arrives(tmp_path):
    text = WHOLE.replace("end: 2026-03-02}", "end: 2026-03-03}")
    assert planned(tmp_path, alerts=text).policy == Policy(
        300.0,
        0.2,
        0.0,
        Escalate(50.0, 0.3, 14.4),
        1.0,
        Objectives(0.999, 0.9, 5000.0),
        {"night": ("flood",), "day": ()},
        {"warning": None, "critical": 0},
        (("launch", DAY_US + 9 * 3_600_000_000, DAY_US + 24 * 3_600_000_000),),
    )


@pytest.mark.parametrize(
    ("text", "prices"),
    [
        ("{prompt: 2.5, completion: 10}", Prices(Price(2.5, 10.0))),
        ("{completion: 10}", Prices(Price(0.0, 10.0))),
        (
            "{default: {prompt: 2.5}, big-1: {prompt: 15, completion: 75}}",
            Prices(Price(2.5, 0.0), {"big-1": Price(15.0, 75.0)}),
        ),
        ("{prompt: {prompt: 1}}", Prices(None, {"prompt": Price(1.0, 0.0)})),
    ],
)
def test_prices_are_of_all_or_by_llm(tmp_path, text, prices):
    assert planned(tmp_path, text).prices == prices


@pytest.mark.parametrize(
    ("prices", "alerts", "said"),
    [
        ("{prompt: -1}", "", "models[0].prices.prompt: expected a number >= 0.0"),
        ("{promt: 1}", "", "models[0].prices.promt: there is no such setting (did you mean prompt?)"),
        ("{big: {prompt: .inf}}", "", "models[0].prices.big.prompt: inf is not a finite number"),
        ("{big: {promt: 1}}", "", "models[0].prices.big.promt: there is no such setting"),
        ("{big: {prompt: 1}, prompt: 2}", "", "models[0].prices.prompt: expected keys and values"),
        ("null", "{quiet: 5}", "alerts.quiet: there is no such setting (did you mean quiet_s?)"),
        ("null", "{quiet_s: 0}", "alerts.quiet_s: expected a number > 0.0"),
        ("null", "{objectives: {availability: 1}}", "alerts.objectives.availability: expected a number < 1.0"),
        ("null", "{escalate: {slo: 1}}", "alerts.escalate.slo: there is no such setting"),
        ("null", "{cap_per_day: {warning: -1}}", "alerts.cap_per_day.warning: expected a whole number >= 0"),
        ("null", "{teams: {}}", "alerts.teams: name at least one team"),
        ("null", WHOLE, "alerts.calendar[0].end: it must be after the start"),
        ("null", "{calendar: [{name: x, start: soon, end: 2026-03-03}]}", "alerts.calendar[0].start: 'soon' is not a time"),
    ],
)  # fmt: skip
def test_an_error_names_the_setting(tmp_path, prices, alerts, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        planned(tmp_path, prices, alerts)


def test_an_output_for_a_team_that_goes_is_not_left_without_alerts(tmp_path):
    outputs = [{"jsonl": {"path": "alerts.jsonl", "teams": ["night"]}}]
    with Service(tmp_path, alerts={"teams": {"night": ["wallet"]}}, outputs=outputs) as service:
        service.settings["alerts"] = {"teams": {"day": ["wallet"]}}
        service.write()
        service.signal(signal.SIGHUP)
        until(lambda: service.said("reload_refused"), "the new settings to be refused")
        assert "outputs[0].jsonl.teams: there is no such team" in service.said("reload_refused")[0]["error"]
        service.post([*calm(0), event(0, "a", 50_000), *calm(25)])
        until(lambda: service.changes(), "an alert of the team before")


def test_on_sighup_the_policy_and_prices_are_read_again_and_what_is_open_stays(tmp_path):
    with Service(tmp_path, alerts={"teams": {"night": ["wallet"], "day": []}}) as service:
        service.post([*calm(0), event(0, "a", 50_000), *calm(25)])
        until(lambda: service.changes(), "the first alert")
        service.settings["alerts"] = {"teams": {"day": ["wallet"]}, "cap_per_day": {"critical": 1}}
        service.settings["models"][0]["prices"] = {"default": {"completion": 10.0}}
        service.write()
        service.signal(signal.SIGHUP)
        until(lambda: service.figure('seqdetect_reloads_total{result="taken"}') == 1, "the new settings")
        service.post([*calm(40), event(40, "a", 50_000), event(40, "b", 50_000), *calm(65)])
        until(lambda: service.changes(), "the second alert")
        service.post(calm(3_000))
        until(lambda: len([one for one in service.changes() if one["change"] == "resolve"]) == 1, "the end")
        assert service.stop() == 0
    told = [(one["user_id"], one["change"], one["teams"], one["cost_usd"]) for one in service.changes()]
    # the second has no room left on that day, so it reaches nobody; what the first cost before there were prices is lost
    assert told == [
        ("a", "open", ["night"], None),
        ("a", "update", ["day", "night"], None),
        ("*", "open", ["day"], None),
        ("a", "resolve", ["day", "night"], None),
    ]
