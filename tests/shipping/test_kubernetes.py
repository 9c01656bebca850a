"""The manifests: as kustomize renders them, against the schemas of Kubernetes, and each name where it is looked for."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import deployed
import pytest
import yaml

import handmade
from seqdetect.serve import process

TOP = Path(__file__).parents[2]
MANIFESTS = TOP / "serving/kubernetes"
ALL = "resources: [../replicas]\ncomponents: [../monitoring]\n"
Resource = dict[str, Any]


@pytest.fixture(scope="module", params=["base", "replicas", "all"])
def rendered(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[Resource]:
    """All resources of one folder; ``all`` are replicas with monitoring."""
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl, which brings kustomize along, is not installed")
    folder = tmp_path_factory.mktemp("kubernetes") / "kubernetes"
    shutil.copytree(MANIFESTS, folder)
    handmade.write(folder / "base/bundle.onnx")
    (folder / "all").mkdir()
    (folder / "all/kustomization.yaml").write_text(ALL)
    done = subprocess.run(
        ["kubectl", "kustomize", str(folder / request.param)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return list(yaml.safe_load_all(done.stdout))


def one(resources: list[Resource], kind: str) -> Resource:
    (found,) = (resource for resource in resources if resource["kind"] == kind)
    return found


def pod(resources: list[Resource]) -> Resource:
    found: Resource = one(resources, "StatefulSet")["spec"]["template"]["spec"]
    return found


def scorer(resources: list[Resource]) -> Resource:
    (container,) = pod(resources)["containers"]
    found: Resource = container
    return found


def selectors(resources: list[Resource]) -> Iterator[dict[str, str]]:
    """By which each resource finds the scorer's pods."""
    yield one(resources, "StatefulSet")["spec"]["selector"]["matchLabels"]
    yield one(resources, "Service")["spec"]["selector"]
    yield one(resources, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"]
    yield one(resources, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"]


def test_the_schemas_of_kubernetes_hold(rendered: list[Resource]):
    validate = pytest.importorskip("kubernetes_validate", reason="pip install kubernetes-validate")
    for resource in rendered:
        if not resource["apiVersion"].startswith("monitoring.coreos.com/"):
            validate.validate(resource, "1.32", strict=True)


def test_the_pod_may_do_nothing_that_it_need_not(rendered: list[Resource]):
    """What the namespace's level ``restricted`` asks for, and a root that nobody writes to.

    https://kubernetes.io/docs/concepts/security/pod-security-standards/
    """
    inside, container = pod(rendered), scorer(rendered)
    assert inside["securityContext"]["runAsNonRoot"]
    assert inside["securityContext"]["runAsUser"] > 0
    assert inside["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not inside["automountServiceAccountToken"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert "memory" in container["resources"]["limits"]


def test_its_user_is_the_images(rendered: list[Resource]):
    (user,) = re.findall(r"^USER (\d+):(\d+)$", (TOP / "serving/Dockerfile").read_text(), re.MULTILINE)
    context = pod(rendered)["securityContext"]
    assert (context["runAsUser"], context["runAsGroup"]) == tuple(map(int, user))
    assert context["fsGroup"] == context["runAsGroup"]


def test_everything_finds_the_pods_and_nothing_else_is_changed(rendered: list[Resource]):
    labels = one(rendered, "StatefulSet")["spec"]["template"]["metadata"]["labels"]
    for wanted in selectors(rendered):
        assert wanted
        assert wanted.items() <= labels.items()
    peers = [to for rule in one(rendered, "NetworkPolicy")["spec"]["egress"] for to in rule["to"]]
    (dns,) = (peer["podSelector"]["matchLabels"] for peer in peers if "podSelector" in peer)
    assert dns == {"k8s-app": "kube-dns"}


def test_what_is_mounted_is_there(rendered: list[Resource]):
    stateful = one(rendered, "StatefulSet")["spec"]
    volumes = {volume["name"]: volume for volume in pod(rendered)["volumes"]}
    claimed = {claim["metadata"]["name"] for claim in stateful["volumeClaimTemplates"]}
    assert {mount["name"] for mount in scorer(rendered)["volumeMounts"]} == set(volumes) | claimed
    maps = {resource["metadata"]["name"] for resource in rendered if resource["kind"] == "ConfigMap"}
    assert {volume["configMap"]["name"] for volume in volumes.values() if "configMap" in volume} == maps
    assert stateful["serviceName"] == one(rendered, "Service")["metadata"]["name"]


def test_replicas_share_checkpoints_and_nothing_else(rendered: list[Resource]):
    replicas = one(rendered, "StatefulSet")["spec"]["replicas"]
    shared = [resource for resource in rendered if resource["kind"] == "PersistentVolumeClaim"]
    assert bool(shared) == (replicas > 1)
    mounts = {mount["name"]: mount["mountPath"] for mount in scorer(rendered)["volumeMounts"]}
    config = settings(rendered)
    for claim in shared:
        assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
        (name,) = (
            volume["name"]
            for volume in pod(rendered)["volumes"]
            if volume.get("persistentVolumeClaim", {}).get("claimName") == claim["metadata"]["name"]
        )
        assert mounts[name] == config["checkpoint"]["folder"]
        assert not config["delivery"]["folder"].startswith(mounts[name])
        assert not config["feedback"]["path"].startswith(mounts[name])


def settings(resources: list[Resource]) -> dict[str, Any]:
    (text,) = (resource["data"]["scorer.yaml"] for resource in resources if "data" in resource)
    found: dict[str, Any] = yaml.safe_load(text)
    return found


def test_the_scorer_takes_its_settings(tmp_path: Path):
    made = process.plan(deployed.rooted(MANIFESTS / "base/scorer.yaml", tmp_path))
    deployed.assert_writes_within(made, tmp_path, ["/var/lib/seqdetect"])
    assert made.settings.http.host == "0.0.0.0"
    assert made.settings.http.token_file is not None


def test_probes_ask_where_the_scorer_answers(rendered: list[Resource]):
    ports = {port["name"]: port["containerPort"] for port in scorer(rendered)["ports"]}
    assert ports["http"] == settings(rendered)["http"]["port"]
    asked = {
        scorer(rendered)[name]["httpGet"]["path"]
        for name in ("livenessProbe", "readinessProbe", "startupProbe")
    }
    assert asked == {"/healthz", "/readyz"}
    assert pod(rendered)["terminationGracePeriodSeconds"] > 2 * 20, "twice the default of limits.stop_s"


def test_what_the_scorer_reaches_is_let_through(rendered: list[Resource]):
    found = settings(rendered)
    (alertmanager,) = found["outputs"][0]["alertmanager"]["urls"]
    wanted = {
        address_of(found["input"]["kafka"]["servers"]),
        address_of(alertmanager.removeprefix("http://")),
    }
    rules = one(rendered, "NetworkPolicy")["spec"]["egress"]
    let = {
        (to["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"], port["port"])
        for rule in rules
        for to in rule["to"]
        for port in rule["ports"]
    }
    assert wanted <= let


def address_of(server: str) -> tuple[str, int]:
    """The namespace and the port of ``NAME.NAMESPACE.svc:PORT``."""
    host, _, port = server.partition(":")
    return host.split(".")[1], int(port)


def test_prometheus_calls_its_jobs_as_the_rules_do():
    monitor = yaml.safe_load((MANIFESTS / "monitoring/servicemonitor.yaml").read_text())
    example = yaml.safe_load((TOP / "serving/prometheus/prometheus.yml").read_text())
    jobs = {job["job_name"]: job.get("metrics_path", "/metrics") for job in example["scrape_configs"]}
    ours = {end["relabelings"][0]["replacement"]: end["path"] for end in monitor["spec"]["endpoints"]}
    assert ours == jobs
    service = yaml.safe_load((MANIFESTS / "base/service.yaml").read_text())
    assert {end["port"] for end in monitor["spec"]["endpoints"]} == {
        port["name"] for port in service["spec"]["ports"]
    }
