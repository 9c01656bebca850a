"""The compose file: confined containers, configurations that their programs take, and nothing missing that it names."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import deployed
import pytest
import yaml

from seqdetect.serve import process

SERVING = Path(__file__).parents[2] / "serving"
FILE = SERVING / "compose.yaml"
MADE_BY_HAND = ("bundle.onnx",)
"""What who runs it puts there first; the file's first comment says so."""


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(FILE.read_text())
    return found


def mounts(service: dict[str, Any]) -> list[list[str]]:
    return [volume.split(":") for volume in service.get("volumes", [])]


def test_every_container_is_confined(compose: dict[str, Any]):
    for name, service in compose["services"].items():
        assert service["cap_drop"] == ["ALL"], name
        assert "no-new-privileges:true" in service["security_opt"], name
        assert service["read_only"] or name == "broker", name
        assert "privileged" not in service, name
        assert "latest" not in service["image"], name
        assert ":" in service["image"].rpartition("/")[2], name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name


def test_all_that_is_mounted_is_there_or_declared(compose: dict[str, Any]):
    for service in compose["services"].values():
        for source, target, *mode in mounts(service):
            assert target.startswith("/")
            if source.startswith("./"):
                assert mode == ["ro"], source
                assert Path(source).name in MADE_BY_HAND or (SERVING / source).exists(), source
            else:
                assert source in compose["volumes"]
    for name in MADE_BY_HAND:
        assert name in FILE.read_text().split("name: seqdetect")[0]


def test_secrets_come_from_files_alone(compose: dict[str, Any]):
    for secret in compose["secrets"].values():
        assert list(secret) == ["file"]
        assert secret["file"].startswith("compose/secrets/")
    used = {
        secret if isinstance(secret, str) else secret["source"]
        for service in compose["services"].values()
        for secret in service.get("secrets", [])
    }
    assert used == set(compose["secrets"])
    assert "/secrets/" in (SERVING / "compose/.gitignore").read_text().split()


def test_whom_a_service_waits_for_says_when_it_is_ready(compose: dict[str, Any]):
    services = compose["services"]
    for service in services.values():
        for name, wanted in service.get("depends_on", {}).items():
            assert wanted["condition"] != "service_healthy" or "healthcheck" in services[name]


def test_the_scorer_takes_its_configuration(compose: dict[str, Any], tmp_path: Path):
    scorer = compose["services"]["scorer"]
    config = deployed.rooted(SERVING / "compose/scorer.yaml", tmp_path)
    made = process.plan(config)
    written = [target for source, target, *mode in mounts(scorer) if source in compose["volumes"]]
    deployed.assert_writes_within(made, tmp_path, written)
    assert str(made.settings.http.token_file) == f"{tmp_path}/run/secrets/{scorer['secrets'][0]}"
    assert made.settings.http.port == int(scorer["ports"][0].rpartition(":")[2])


def test_containers_are_known_by_their_names(compose: dict[str, Any]):
    config = yaml.safe_load((SERVING / "compose/scorer.yaml").read_text())
    prometheus = yaml.safe_load((SERVING / "compose/prometheus.yml").read_text())
    grafana = yaml.safe_load((SERVING / "compose/datasources.yaml").read_text())
    hosts = {
        config["input"]["kafka"]["servers"].partition(":")[0],
        config["outputs"][0]["alertmanager"]["urls"][0].removeprefix("http://").partition(":")[0],
        grafana["datasources"][0]["url"].removeprefix("http://").partition(":")[0],
        *(
            target.partition(":")[0]
            for job in prometheus["scrape_configs"]
            for target in job["static_configs"][0]["targets"]
        ),
    }
    assert hosts == {"broker", "alertmanager", "prometheus", "scorer"} <= set(compose["services"])
    (topic,) = config["input"]["kafka"]["topics"]
    assert topic in compose["services"]["topics"]["command"]


def test_prometheus_differs_from_the_example_in_names_alone():
    example = (SERVING / "prometheus/prometheus.yml").read_text()
    here = yaml.safe_load((SERVING / "compose/prometheus.yml").read_text())
    for ours, theirs in (("127.0.0.1:9093", "alertmanager:9093"), ("127.0.0.1:8080", "scorer:8080")):
        assert ours in example
        example = example.replace(ours, theirs)
    assert yaml.safe_load(example) == here


def test_promtool_finds_nothing_wrong(tmp_path: Path):
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed")
    shutil.copy(SERVING / "compose/prometheus.yml", tmp_path)
    shutil.copytree(SERVING / "prometheus/rules", tmp_path / "rules")
    done = subprocess.run(
        ["promtool", "check", "config", str(tmp_path / "prometheus.yml")],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "rules found" in done.stdout


def test_grafanas_source_is_the_one_that_dashboards_know():
    example = yaml.safe_load((SERVING / "grafana/provisioning/datasources/seqdetect.yaml").read_text())
    ours = yaml.safe_load((SERVING / "compose/datasources.yaml").read_text())
    known = {one["name"]: one for one in example["datasources"]}
    for one in ours["datasources"]:
        assert one | {"url": None} == known[one["name"]] | {"url": None}
