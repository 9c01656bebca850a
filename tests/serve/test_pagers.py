"""The pagers' sections of ``outputs`` as people write them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from seqdetect.serve import outputs
from seqdetect.serve.document import Document

SECTIONS = """
- alertmanager:
    urls: [http://alertmanager-0:9093, http://alertmanager-1:9093/prefix]
    label_fields: [model, kind, severity, user_id]
    labels: {cluster: eu-1}
    page_url: https://scorer.example/
    resend_s: 30
- pagerduty: {routing_key: {env: PAGER_KEY}, url: "https://events.eu.pagerduty.com/v2/enqueue", teams: [sre], severity: critical}
- opsgenie: {api_key: {env: PAGER_KEY}, url: "https://api.atlassian.com/jsm/ops/integration/", teams: [security], grave_usd_per_hour: 50}
- influxdb: {url: "http://influxdb:8086", database: llm, user: scorer, password: {env: PAGER_KEY}, shadow: too, muted: too}
- influxdb: {url: "http://influxdb:8086", org: o, bucket: b, token: {env: PAGER_KEY}}
"""


def sections(file: Path, text: str) -> list[outputs.Chosen]:
    entries: list[Any] = yaml.safe_load(text)
    return outputs.read(Document(file, {}), entries)


def test_what_the_documentation_shows_is_accepted(tmp_path, monkeypatch):
    monkeypatch.setenv("PAGER_KEY", "s3cret-s3cret")
    chosen = sections(tmp_path / "scorer.yaml", SECTIONS)
    made = [one.make(**one.settings) for one in chosen]
    assert made[0].resend_s == 30
    assert all(sink.queued for sink in made)
    for sink in made:
        sink.close()
    assert "s3cret" not in repr(chosen)


@pytest.mark.parametrize(
    ("section", "said"),
    [
        (
            "alertmanager: {urls: [http://a:9093], label_fields: [colour]}",
            "must be one of bundle_version, key",
        ),
        ("alertmanager: {}", "urls: is missing"),
        ("pagerduty: {routing_key: abc}", "a secret is not written here"),
        ("opsgenie: {api_key: {env: NOT_SET}}", "NOT_SET is not set"),
        ("influxdb: {url: 'http://a:8086', database: d, token: abc}", "a secret is not written here"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path, section: str, said: str):
    with pytest.raises(ValueError, match=rf"outputs\[0\].*{said}"):
        sections(tmp_path / "scorer.yaml", f"- {section}")
