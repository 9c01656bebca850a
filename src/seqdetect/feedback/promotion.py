"""From a finished run to a new champion, or not."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from seqdetect import rundir
from seqdetect.attack.inject import Injector
from seqdetect.feedback.contest import contest
from seqdetect.prepare import Data
from seqdetect.tracking import Tracker


def challenge(tracker: Tracker, out: Path, data: Data, injector: Injector | None, seed: int) -> str:
    """Hold the bundle in ``out`` against the champion, and promote it if it is better; in words, what came of it.

    ``bundle.onnx`` is the champion's afterwards, whoever that is: a service may read it again. The run must be open
    in ``tracker``. Raises ``ValueError`` where the run left no bundle.
    """
    uri = out / rundir.MODEL_URI
    if not (out / rundir.BUNDLE).exists():
        raise ValueError("a detector that cannot be exported cannot become champion")
    version = tracker.champion()
    if version is None:
        return f"version {tracker.crown(uri.read_text())} is the first champion: there was none to beat"
    with tempfile.TemporaryDirectory() as folder:
        champion = Path(folder) / rundir.BUNDLE
        tracker.fetch(version, champion)
        found = contest(champion, out / rundir.BUNDLE, data, injector, seed)
    (out / rundir.COMPARISON).write_text(json.dumps(found, indent=1))
    tracker.artifact(out / rundir.COMPARISON)
    tracker.metrics({"contest": found}, [])
    if found["promoted"]:
        crowned = tracker.crown(uri.read_text())
        return f"promoted to version {crowned}, in place of {version}: {found['reason']}"
    rundir.stand_back(out)
    tracker.fetch(version, out / rundir.BUNDLE)
    return f"not promoted, version {version} stays champion: {found['reason']}"
