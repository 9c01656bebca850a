"""The wheel: what is in it, and that it works away from the source tree."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import handmade
from serve.running import Service

TOP = Path(__file__).parents[2]
PACKAGE = TOP / "src/seqdetect"
SOURCE = ("pyproject.toml", "README.md", "LICENSE")


def data() -> set[Path]:
    """Files of the package that are no modules."""
    return {
        file.relative_to(PACKAGE)
        for file in PACKAGE.rglob("*")
        if file.is_file() and file.suffix != ".py" and "__pycache__" not in file.parts
    }


def test_every_file_beside_the_modules_is_named_as_package_data():
    settings = tomllib.loads((TOP / "pyproject.toml").read_text())
    globs = settings["tool"]["setuptools"]["package-data"]["seqdetect"]
    named = {file.relative_to(PACKAGE) for glob in globs for file in PACKAGE.glob(glob)}
    assert {Path("py.typed"), Path("serve/page/page.html"), Path("report/page.html")} <= data()
    assert data() - named == set()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, so that no earlier build is mixed in."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheels")
    shutil.copytree(PACKAGE, source / "src/seqdetect", ignore=shutil.ignore_patterns("__pycache__"))
    for name in SOURCE:
        shutil.copy(TOP / name, source)
    done = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", str(out), str(source)],
        capture_output=True,
        text=True,
        timeout=240,
    )
    if "No matching distribution found for setuptools" in done.stdout + done.stderr:
        pytest.skip("pip has no index to get setuptools from")
    assert done.returncode == 0, done.stderr
    (found,) = out.glob("*.whl")
    return found


@pytest.mark.slow
def test_the_wheel_holds_the_package_its_data_and_the_licence(wheel: Path):
    names = set(zipfile.ZipFile(wheel).namelist())
    modules = {file.relative_to(PACKAGE) for file in PACKAGE.rglob("*.py")}
    assert {f"seqdetect/{name}" for name in data() | modules} <= names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not [name for name in names if not name.startswith("seqdetect")]


@pytest.mark.slow
def test_the_wheel_alone_serves_the_page(wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    installed = tmp_path / "installed"
    zipfile.ZipFile(wheel).extractall(installed)
    monkeypatch.setenv("PYTHONPATH", str(installed))
    where = subprocess.run(
        [sys.executable, "-c", "import seqdetect; print(seqdetect.__file__)"],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    assert where.stdout.startswith(str(installed) + os.sep)
    handmade.write(tmp_path / "bundle.onnx")
    with Service(tmp_path) as service:
        for path in ("/", "/page/page.css", "/page/main.js"):
            assert service.request("GET", path)[0] == 200, path
