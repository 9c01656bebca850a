"""The example configuration of Alertmanager, run for real: who is called for what, and what is kept quiet."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import programs
from changes import change
from far_side import Opsgenie, PagerDuty
from programs import Program, until
from receiver import Answer, Request, receiver
from seqdetect.sink.alertmanager import AlertmanagerSink

EXAMPLE = Path(__file__).parents[2] / "serving/alertmanager/alertmanager.yml"
SECRETS = "/etc/alertmanager/secrets"


@dataclass
class Chat:
    """Takes what Slack would."""

    texts: list[str] = field(default_factory=list)

    def __call__(self, request: Request) -> Answer:
        (told,) = json.loads(request.body)["attachments"]
        self.texts.append(told["text"])
        return 200, {}, b"ok"


@dataclass
class Site:
    """An Alertmanager with the example's routes, a sink for it, and whom it calls."""

    manager: Program
    sink: AlertmanagerSink
    pagerduty: PagerDuty
    opsgenie: Opsgenie
    sre: Chat
    security: Chat

    def states(self, alert: str) -> dict[str, str]:
        """Of every alert there with this id, by its severity: active or suppressed."""
        found = self.manager.get("/api/v2/alerts", filter=f'alert_id="{alert}"')
        return {one["labels"]["severity"]: one["status"]["state"] for one in found}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    pagerduty, opsgenie, sre, security = PagerDuty(), Opsgenie(), Chat(), Chat()
    with receiver(pagerduty) as a, receiver(opsgenie) as b, receiver(sre) as c, receiver(security) as d:
        (folder / "pagerduty-sre").write_text("0123456789abcdef0123456789abcdef")
        (folder / "opsgenie-security").write_text("key")
        (folder / "slack-sre").write_text(c.url)
        (folder / "slack-security").write_text(d.url)
        text = EXAMPLE.read_text().replace(SECRETS, str(folder))
        for slow in ("group_wait: 5s", "group_wait: 1m"):
            assert slow in text
            text = text.replace(slow, "group_wait: 1s")
        text += f"\nglobal: {{pagerduty_url: '{a.url}/v2/enqueue', opsgenie_api_url: '{b.url}/'}}\n"
        with programs.alertmanager(folder, text) as manager:
            sink = AlertmanagerSink([manager.url], page_url="https://scorer.example/")
            yield Site(manager, sink, pagerduty, opsgenie, sre, security)
            sink.close()
    assert not pagerduty.refused + opsgenie.refused


def test_amtool_finds_nothing_wrong():
    if shutil.which("amtool") is None:
        pytest.skip("amtool is not installed")
    said = subprocess.run(
        ["amtool", "check-config", str(EXAMPLE)], capture_output=True, text=True, timeout=60
    )
    assert said.returncode == 0, said.stderr


def test_each_team_is_called_for_its_own(site: Site):
    site.sink.send(
        [
            change(alert_id="page-sre", kind="flood", user_id="<!channel>"),
            change(alert_id="page-security", kind="scrape", teams=["security"]),
            change(alert_id="chat-sre", kind="wallet", severity="warning", user_id="<!here>"),
            change(alert_id="chat-security", kind="drip", severity="warning", teams=["security"]),
            change(alert_id="trial", shadow=True),
            change(alert_id="left-out", muted=True),
        ]
    )
    until(
        lambda: site.pagerduty.open and site.opsgenie.open and site.sre.texts and site.security.texts, "all"
    )
    ((_, [event]),) = site.pagerduty.open.items()
    assert event["payload"]["summary"] == "Critical flood: user ‹!channel›, requests 900 (expected 12)"
    assert event["payload"]["severity"] == "critical"
    assert event["client_url"] == "https://scorer.example/"
    assert event["payload"]["custom_details"]["runbook"] == "https://runbooks.example/flood.md"
    ((_, [alert]),) = site.opsgenie.open.items()
    assert (alert["priority"], alert["entity"]) == ("P2", "u-1")
    assert alert["message"].startswith("Critical scrape")
    (told,) = site.sre.texts
    assert told.startswith("- Warning wallet: user ‹!here›")
    (told,) = site.security.texts
    assert told.startswith("- Warning drip: user u-1")


def test_a_warning_is_silent_beside_the_critical_alert_that_it_became(site: Site):
    site.sink.send([change(alert_id="risen", kind="botnet", severity="warning")])
    forgetful = AlertmanagerSink([site.manager.url])
    forgetful.send([change("update", alert_id="risen", kind="botnet")])
    until(lambda: site.states("risen") == {"warning": "suppressed", "critical": "active"}, "the inhibition")
    forgetful.close()


def test_users_are_silent_beside_the_population_alert_that_they_are_part_of(site: Site):
    site.sink.send([change(alert_id="one", kind="inflation"), change(alert_id="other", kind="takeover")])
    many = {"user_id": "*", "users": 40, "triage": None}
    site.sink.send([change(alert_id="many", kind="inflation", **many)])
    until(lambda: site.states("one") == {"critical": "suppressed"}, "the inhibition")
    assert site.states("other") == {"critical": "active"}
    assert site.states("many") == {"critical": "active"}
    site.sink.send([change("resolve", alert_id="many", kind="inflation", **many)])
    until(lambda: site.states("one") == {"critical": "active"}, "the end of the inhibition")
