"""Settings as a container has them, under a folder of the test in place of the root."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

import handmade
from seqdetect.serve.process import Plan

PLACES = ("/etc/seqdetect", "/var/lib/seqdetect", "/run/secrets")
KEY = "0123456789abcdef"


def rooted(config: Path, root: Path) -> Path:
    """``config`` at ``root``/etc/seqdetect, with the bundle and every secret that it names."""
    text = config.read_text()
    for place in PLACES:
        (root / place[1:]).mkdir(parents=True)
        text = text.replace(place, f"{root}{place}")
    for secret in re.findall(rf"{re.escape(str(root))}/run/secrets/[\w/-]+", text):
        Path(secret).parent.mkdir(parents=True, exist_ok=True)
        Path(secret).write_text(KEY)
    here = root / "etc/seqdetect/scorer.yaml"
    here.write_text(text)
    for model in yaml.safe_load(text)["models"]:
        bundle = here.parent / model["bundle"]
        bundle.parent.mkdir(exist_ok=True)
        handmade.write(bundle)
    return here


def assert_writes_within(made: Plan, root: Path, folders: list[str]) -> None:
    """All that the service writes is under one of ``folders``, which outlive the container."""
    written = [
        made.settings.checkpoint.folder,
        made.settings.delivery.folder,
        made.settings.feedback.path if made.settings.feedback else None,
        *(value for output in made.outputs for value in output.settings.values() if isinstance(value, Path)),
    ]
    assert made.settings.delivery.folder is not None
    for path in written:
        assert path is None or any(path.is_relative_to(root / folder[1:]) for folder in folders), path
