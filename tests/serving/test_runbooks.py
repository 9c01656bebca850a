"""Runbooks: one for every kind an alert can carry, links that lead somewhere, commands that run and find something."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

import handmade
from changes import change
from exported import asked, names
from seqdetect.alert.cap import OVERFLOW
from seqdetect.alert.population import KINDS
from seqdetect.attack.library import library
from seqdetect.score.kind import UNKNOWN
from seqdetect.sink.sqlite import SqliteSink

FOLDER = Path("serving/runbooks")
PAGES = sorted(FOLDER.glob("*.md"))
ATTACKS = library()
CARRIED = {*KINDS.values(), UNKNOWN, OVERFLOW, *(kind for kind in ATTACKS if not kind.startswith("benign_"))}
"""Kinds that an alert can carry: bundles learn the attacks, populations and the cap have theirs."""
TRIAGE = {
    "verdict": "unclear",
    "evidence": [{"name": "users", "value": 20.0, "usual": 9.5, "points_to": "campaign"}],
}


def fenced(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(), re.M | re.S)


def blocks(language: str) -> list:
    return [
        pytest.param(page, text, id=f"{page.stem}-{number}")
        for page in PAGES
        for number, text in enumerate(fenced(page, language))
    ]


def headings(page: Path) -> set[str]:
    return {
        re.sub(r"[^\w -]", "", one.lower()).replace(" ", "-")
        for one in re.findall(r"^#+ (.+)$", page.read_text(), re.M)
    }


def test_every_kind_has_its_page_and_is_listed():
    pages = {page.stem for page in PAGES} - {"README", "service"}
    assert pages == CARRIED
    index = (FOLDER / "README.md").read_text()
    assert not [kind for kind in CARRIED if f"| [{kind}]({kind}.md) |" not in index]


@pytest.mark.parametrize("kind", sorted(CARRIED))
def test_a_page_has_every_part_that_is_looked_for_at_night(kind):
    page = FOLDER / f"{kind}.md"
    parts = re.findall(r"^## (.+)$", page.read_text(), re.M)
    assert parts == ["What it means", "Confirm", "Do", "When it is benign", "Tell us"]
    assert fenced(page, "sh")
    assert fenced(page, "promql")
    assert fenced(page, "sql")


@pytest.mark.parametrize("kind", sorted(CARRIED & set(ATTACKS)))
def test_a_page_names_the_catalogues_ids_of_its_attack(kind):
    text = (FOLDER / f"{kind}.md").read_text()
    ids = (*ATTACKS[kind].owasp, *ATTACKS[kind].atlas)
    assert not [one for one in ids if not re.search(rf"{re.escape(one)}\s", text)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text()):
        assert "://" not in target
        file, _, anchor = target.partition("#")
        found = page.parent / file if file else page
        assert found.exists(), target
        assert not anchor or anchor in headings(found), target


def test_prometheus_understands_the_queries(tmp_path):
    asks = [query for page in PAGES for query in fenced(page, "promql")]
    assert set().union(*map(asked, asks)) <= names()
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed")
    rules = [{"record": f"page:query:{place}", "expr": query} for place, query in enumerate(asks)]
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "pages", "rules": rules}]}))
    done = subprocess.run(["promtool", "check", "rules", str(file)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def night(tmp_path_factory):
    """A folder as the commands expect it, with something to find for each of them."""
    folder = tmp_path_factory.mktemp("night")
    handmade.write(folder / "bundle.onnx")
    events = [
        {
            "timestamp": f"2026-03-02T{minute // 60:02}:{minute % 60:02}:07.5Z",
            "user_id": user,
            "prompt_tokens": 100 * (1 + minute % 90),
            "completion_tokens": 20_000 if user == "u 1" and minute == 60 else 50,
            "model": "large" if minute > 60 else "small",
            "client_ip": f"192.0.2.{minute % 7}",
            "status": 429 if minute % 5 == 0 else 200,
            "latency_ms": 800.0,
            "user_agent": "sdk/1.4",
            "endpoint": "/v1/chat/completions",
        }
        for minute in range(120)
        for user in ("u 1", "calm")
    ]
    told = [change(kind=kind, user_id="u 1") for kind in sorted(CARRIED - {OVERFLOW})]
    told += [change("update", user_id="u 1"), change(user_id="*", kind="botnet", triage=TRIAGE)]
    told += [change("resolve", alert_id="t", user_id="u 1", into=change()["alert_id"])]
    told += [change(kind=OVERFLOW, user_id="*", left_out=1), change(user_id="u 1", alert_id="m", muted=True)]
    for name, rows in (("events", events), ("alerts", told)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    sink = SqliteSink(folder / "alerts.sqlite")
    now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    sink.send([one | {"start": now} for one in told])
    sink.close()
    return folder


@pytest.mark.parametrize(("page", "query"), blocks("sql"))
def test_the_file_of_alerts_answers_the_queries(page, query, night):
    with closing(sqlite3.connect(f"file:{night / 'alerts.sqlite'}?mode=ro", uri=True)) as file:
        assert file.execute(query, {"user": "u 1", "alert": change()["alert_id"]}).fetchall()


@pytest.mark.parametrize(("page", "script"), blocks("sh"))
def test_the_commands_run_and_find_something(page, script, night):
    if shutil.which("jq") is None:
        pytest.skip("jq is not installed")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    found = {"ALERT": change()["alert_id"], "U": "u 1", "USER": "ann", "PATH": path}
    done = subprocess.run(
        ["bash", "-euc", script],
        cwd=night,
        env=os.environ | found,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert not re.search("error|not found", done.stderr)  # of any part of a pipe
    assert done.stdout.strip() or script.startswith("test ")
