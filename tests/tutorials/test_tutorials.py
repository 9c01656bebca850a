"""The tutorials do what they say: their blocks are run in order, in a folder of their own.

The one on the whole pipeline is a walk through programs that the live demo starts, and has nothing to run.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

TUTORIALS = Path(__file__).resolve().parents[2] / "docs" / "tutorials"
BLOCK = re.compile(r"^```(python|sh)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LIMIT_S = 240


def script(text: str) -> str:
    """One Python program: python blocks as they are, sh blocks as calls of a shell that stops at the first error."""
    parts = ["import subprocess"]
    for language, code in BLOCK.findall(text):
        parts.append(code if language == "python" else f"subprocess.run(['sh', '-ec', {code!r}], check=True)")
    return "\n".join(parts)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(one.name for one in TUTORIALS.glob("a-*.md")))
def test_the_blocks_run_and_leave_the_plot(name: str, tmp_path: Path) -> None:
    text = (TUTORIALS / name).read_text()
    (tmp_path / "tutorial.py").write_text(script(text))
    sources = str(TUTORIALS.parents[1])
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    run = subprocess.run(
        [sys.executable, "tutorial.py"], cwd=tmp_path, env=os.environ | {"PATH": path, "SEQDETECT": sources}, timeout=LIMIT_S,
        capture_output=True, text=True,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    for plot in re.findall(r"!\[.*?\]\((.*?\.png)\)", text):
        assert (tmp_path / plot).stat().st_size > 1000
