"""What SECURITY.md says can be checked at the places that it names: here, that they are there."""

from __future__ import annotations

import re
from pathlib import Path

TOP = Path(__file__).parents[2]
TEXT = (TOP / "SECURITY.md").read_text()
ROOTS = (TOP, TOP / "src/seqdetect")


def test_every_file_and_test_that_it_points_to_is_there():
    tests = {file.name: file.read_text() for file in (TOP / "tests").rglob("test_*.py")}
    everything = "\n".join(tests.values())
    pointers = re.findall(r"`([\w/]+\.\w+)?(?:::)?(test_\w+)?`", TEXT)
    files = {file for file, _ in pointers if "/" in file and file.endswith((".py", ".js"))}
    named = [(file, test) for file, test in pointers if test]
    assert len(files) > 20
    assert len(named) > 15
    for file in files:
        assert any((root / file).is_file() for root in ROOTS), file
    for file, test in named:
        assert f"def {test}(" in (tests[Path(file).name] if file else everything), test


def test_every_link_leads_somewhere():
    for target in re.findall(r"\]\(([^)#]+)", TEXT):
        assert (TOP / target).exists(), target
