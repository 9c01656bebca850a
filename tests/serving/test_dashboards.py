"""Grafana's dashboards: what Grafana needs of them, and every query answered by real programs with real figures."""

from __future__ import annotations

import importlib.util
import json
import math
import re
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import combinations
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

import programs
from changes import change
from exported import asked, names
from programs import Program
from receiver import receiver
from seqdetect.feedback.store import Verdicts
from serve.running import START, Service, event, lines, until

GRAFANA = Path("serving/grafana")
FILES = sorted((GRAFANA / "dashboards").glob("*.json"))
RULES = Path("serving/prometheus/rules").resolve()
PATIENCE_S = 120.0
SECRET = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" + "MfKQ9r8G"
INTERVAL = "10s"
"""In place of ``$__rate_interval``, which Grafana makes at least four times the scrape interval."""
SCRAPED = """
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: ["{rules}/*.yaml"]
scrape_configs:
  - job_name: seqdetect
    static_configs: [{{targets: {targets}}}]
  - job_name: seqdetect-top
    metrics_path: /metrics/top
    static_configs: [{{targets: {targets}}}]
"""


def read(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def queries(field: str) -> list:
    return [
        pytest.param(target[field], id=f"{file.stem}: {panel['title']} {target['refId']}")
        for file in FILES
        for panel in read(file)["panels"]
        for target in panel["targets"]
        if field in target
    ]


each = pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)


@each
def test_grafana_has_what_it_needs(file):
    jsonschema.validate(read(file), read(GRAFANA / "dashboard.schema.json"))


@each
def test_the_file_is_what_its_page_makes(file):
    spec = importlib.util.spec_from_file_location("build", GRAFANA / "build.py")
    build = sys.modules["build"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(build)
    assert [one.stem for one in FILES] == build.PAGES
    assert file.read_text() == build.text(file.stem)


@each
def test_panels_lie_side_by_side(file):
    panels = read(file)["panels"]
    places = [panel["gridPos"] for panel in panels]
    assert all(one["x"] + one["w"] <= 24 for one in places)
    for a, b in combinations(places, 2):
        apart = (a["x"] + a["w"] <= b["x"], b["x"] + b["w"] <= a["x"])
        above = (a["y"] + a["h"] <= b["y"], b["y"] + b["h"] <= a["y"])
        assert any(apart + above), (a, b)
    assert len({panel["id"] for panel in panels}) == len(panels)


def test_dashboards_are_told_apart():
    for field in ("uid", "title"):
        assert len({read(file)[field] for file in FILES}) == len(FILES)


@pytest.mark.parametrize("query", queries("expr"))
def test_queries_ask_for_figures_that_exist(query):
    assert asked(query) - {"seqdetect_anomaly_objective"} <= names()


def test_provisioning_names_the_sources_that_the_panels_use():
    sources = yaml.safe_load((GRAFANA / "provisioning/datasources/seqdetect.yaml").read_text())["datasources"]
    given = {(one["type"], one["uid"]) for one in sources}
    used = {
        (panel["datasource"]["type"], panel["datasource"]["uid"])
        for file in FILES
        for panel in read(file)["panels"]
    }
    assert used == given
    (provider,) = yaml.safe_load((GRAFANA / "provisioning/dashboards/seqdetect.yaml").read_text())[
        "providers"
    ]
    assert provider["type"] == "file"
    assert provider["options"]["path"]


def test_rate_intervals_are_grafanas():
    """A fixed short window shows nothing where Prometheus scrapes less often."""
    short = [query.values[0] for query in queries("expr") if re.search(r"\[\d+[sm]\]", query.values[0])]
    assert not [query for query in short if "[10m]" not in query]


def hour(number: int) -> Iterator[list[dict[str, Any]]]:
    """An hour of traffic, minute by minute. Four users of this hour alone are critical for a minute now and then."""
    for minute in range(60 * number, 60 * (number + 1)):
        second, found = 60 * minute, []
        for user in range(4):
            loud = (minute + 3 * user) % 13 == 5
            for turn in range(10):
                tokens, llm = (20_000, "big-1") if loud else (100 + 7 * turn, f"llm-{user}")
                one = event(second + 6 * turn + user / 8, f"u{user}-{number}", tokens, model=llm)
                found.append(one | {"client_ip": f"192.0.2.{user}", "status": 200, "latency_ms": 500.0})
        yield [*found, event(second + 30, "bad", -1), event(second - 600, "late")]


class Feeder:
    """Posts an hour of traffic after the other, each minute in a fraction of a second, until it is told to stop."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Feeder:
        self._thread.start()
        return self

    def __exit__(self, *fault: object) -> None:
        self._stop.set()
        self._thread.join(programs.PATIENCE_S)

    def _run(self) -> None:
        number = 0
        while not self._stop.is_set():
            for events in hour(number):
                self._service.post(events)
                if self._stop.wait(0.1):
                    return
            self._service.request("POST", "/v1/events", b"no json")
            number += 1


@pytest.fixture(scope="module")
def followed(tmp_path_factory) -> Iterator[Program]:
    """A Prometheus that scrapes two services at work: one fed over HTTP whose outputs fail, one at Kafka."""
    broker = pytest.importorskip("broker")
    folder = tmp_path_factory.mktemp("followed")
    with ExitStack() as held:
        kafka = broker.Broker()
        held.callback(kafka.close)
        refuses = held.enter_context(receiver(lambda request: (400, {}, b"no")))
        topic = kafka.topic()
        kafka.put(topic, [lines([one]).strip() for minute in hour(0) for one in minute])
        (folder / "one").mkdir()
        (folder / "two").mkdir()
        Verdicts(folder / "one/verdicts.db").add(change("resolve"), "false", "ann")
        webhook = {"secret": {"env": "WEBHOOK"}}
        one = Service(
            folder / "one",
            models=[{
                "name": "users",
                "bundle": "bundle.onnx",
                "prices": {"default": {"prompt": 2.5, "completion": 10}, "big-1": {"prompt": 15, "completion": 75}},
            }],
            input={"http": {"journal": "journal"}},
            outputs=[
                {"jsonl": {"path": "alerts.jsonl", "muted": "too"}},
                {"webhook": {"url": f"{refuses.url}/hook", **webhook}},
                {"webhook": {"url": f"http://127.0.0.1:{broker.free_port()}/", **webhook}},
            ],
            alerts={"cap_per_day": {"critical": 5}},
            limits={"max_users": 12},
            feedback={"path": "verdicts.db"},
        )  # fmt: skip
        two = Service(
            folder / "two",
            models=[{"name": "users", "bundle": "bundle.onnx"}],
            input={"kafka": {"servers": kafka.servers, "topics": [topic], "settings": broker.QUICK}},
        )
        for service in (one, two):
            held.enter_context(service.start(WEBHOOK=SECRET))
        targets = json.dumps([f"127.0.0.1:{service.port}" for service in (one, two)])
        config = SCRAPED.format(rules=RULES, targets=targets)
        prometheus = held.enter_context(programs.prometheus(folder, config))
        held.enter_context(Feeder(one))
        yield prometheus


def filled(query: str) -> str:
    """The query as Grafana sends it with all jobs and models chosen."""
    for name, value in {"$__rate_interval": INTERVAL, "$job": "seqdetect", "$model": ".+"}.items():
        query = query.replace(name, value)
    assert "$" not in query
    return query


def series(prometheus: Program, query: str) -> list[dict[str, Any]]:
    """What ``query`` finds, once it finds numbers; fails where it doesn't for a long time."""
    end = time.monotonic() + PATIENCE_S
    while True:
        answer = prometheus.get("/api/v1/query", query=query)
        assert answer["status"] == "success", answer
        found = [one for one in answer["data"]["result"] if math.isfinite(float(one["value"][1]))]
        if found:
            return found
        assert time.monotonic() < end, f"no figures for {query}"
        time.sleep(0.2)


@pytest.mark.slow
@pytest.mark.parametrize("query", queries("expr"))
def test_every_panel_shows_figures(query, followed):
    assert series(followed, filled(query))


@pytest.mark.slow
@each
def test_every_choice_has_values(file, followed):
    for one in read(file)["templating"]["list"]:
        query, label = re.fullmatch(r"label_values\((.+), (\w+)\)", one["query"]["query"]).groups()
        assert {found["metric"][label] for found in series(followed, filled(query))} in (
            {"seqdetect"},
            {"users"},
        )


@pytest.mark.slow
@pytest.mark.parametrize(
    "figure",
    [
        'increase(seqdetect_alerts_opened_total{kind="wallet"}[5m])',
        'seqdetect_alerts_muted_total{severity="critical"}',
        "seqdetect_alerts_reopened_total",
        'seqdetect_alerts_open{kind="overflow"}',
        'seqdetect_alerts_judged{verdict="false"}',
        'increase(seqdetect_cost_usd_total{llm_model="big-1"}[5m])',
        "seqdetect_users_evicted_total",
        "seqdetect_sink_refused_total",
        "seqdetect_outbox_changes",
        "job_model_tier:seqdetect_alert_budget_burn:ratio2h",
    ],
)
def test_what_seldom_happens_has_happened(figure, followed):
    end = time.monotonic() + PATIENCE_S
    while not any(float(one["value"][1]) > 0 for one in series(followed, figure)):
        assert time.monotonic() < end, f"nothing of {figure}"
        time.sleep(0.2)


@pytest.mark.slow
def test_influxdb_answers_the_dashboard_of_users(tmp_path):
    with programs.influxd(tmp_path) as influx:
        programs.create(influx, "llm")
        priced = {"name": "users", "bundle": "bundle.onnx", "prices": {"prompt": 2.5, "completion": 10}}
        output = {"influxdb": {"url": influx.url, "database": "llm"}}
        with Service(tmp_path, models=[priced], outputs=[output]) as service:
            for minute in hour(0):
                service.post(minute)
            for query in queries("query"):
                text = query.values[0].replace("$timeFilter", f"time >= '{START:%Y-%m-%dT%H:%M:%SZ}'")
                text = text.replace("$__interval", "1h")
                until(lambda asks=text: programs.query(influx, "llm", asks), f"rows for {text}")
