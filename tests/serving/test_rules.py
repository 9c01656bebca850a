"""Prometheus' rules: sound, about figures that exist, and every alarm seen to fire and to stay silent."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from exported import asked, names

PROMETHEUS = Path("serving/prometheus")
RULES = sorted((PROMETHEUS / "rules").glob("*.yaml"))
CASES = sorted((PROMETHEUS / "tests").glob("*.yaml"))


def promtool(*arguments: str | Path) -> None:
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed")
    done = subprocess.run(["promtool", *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def rules() -> list[dict]:
    return [
        rule
        for file in RULES
        for group in yaml.safe_load(file.read_text())["groups"]
        for rule in group["rules"]
    ]


ALARMS = {rule["alert"]: rule for rule in rules() if "alert" in rule}


def test_the_example_and_its_rules_are_sound():
    promtool("check", "config", PROMETHEUS / "prometheus.yml")


@pytest.mark.parametrize("file", CASES, ids=lambda file: file.stem)
def test_alarms_fire_when_they_should_and_not_else(file):
    promtool("test", "rules", file)


def test_every_alarm_has_a_case_in_which_it_fires():
    tried = "".join(file.read_text() for file in CASES)
    assert not [name for name in ALARMS if f'alertname="{name}"' not in tried]


def test_cases_try_every_group_in_order():
    groups = [
        group["name"]
        for file in (PROMETHEUS / "rules/recording.yaml", PROMETHEUS / "rules/alerting.yaml")
        for group in yaml.safe_load(file.read_text())["groups"]
    ]
    assert all(yaml.safe_load(file.read_text())["group_eval_order"] == groups for file in CASES)


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.get("alert") or rule["record"])
def test_rules_ask_for_figures_that_exist(rule):
    assert asked(rule["expr"]) <= names()


def test_recorded_series_that_are_asked_for_are_recorded():
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    used = {name for rule in rules() for name in re.findall(r"\w+:[\w:]+", rule["expr"])}
    assert used <= recorded


@pytest.mark.parametrize("name", ALARMS)
def test_an_alarm_says_what_it_means_and_where_to_read_on(name):
    alarm = ALARMS[name]
    notes = alarm["annotations"]
    assert alarm["labels"]["team"] == "sre"
    assert notes["summary"]
    assert notes["description"]
    file, _, anchor = notes["runbook_url"].partition("#")
    headings = re.findall(r"^#+ (.+)$", Path(file).read_text(), re.M)
    assert not anchor or anchor in [heading.lower().replace(" ", "-") for heading in headings]
