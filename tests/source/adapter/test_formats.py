"""Every format is named wherever formats are named."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

from seqdetect.serve import config
from seqdetect.source.adapter import FORMATS

ROOT = Path(__file__).resolve().parents[3]


def test_the_service_the_command_and_the_examples_know_the_same_formats():
    assert get_args(config.Format) == tuple(FORMATS)
    shown = subprocess.run(
        [sys.executable, "-m", "seqdetect.cli", "score", "--help"], capture_output=True, text=True, check=True
    )
    choices = re.search(r"--format \{([a-z_,\s]+)\}", shown.stdout)
    assert choices is not None
    assert re.sub(r"\s", "", choices[1]).split(",") == list(FORMATS)
    for place in ("serving/README.md", "serving/scorer.yaml", "configs/source/files.yaml"):
        text = (ROOT / place).read_text()
        assert [name for name in FORMATS if name not in text] == [], place


def test_a_format_is_called_what_its_adapter_is():
    assert [FORMATS[name](()).name for name in FORMATS] == list(FORMATS)
