"""The engine's memory as one file: a matrix, a table of keys and the facts beside them.

Line 1 names the format, line 2 is the SHA-256 of the rest, the rest is a numpy ``.npz`` archive (no pickle).
The file is written aside and then moved into place, so it is whole or absent.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from seqdetect.score.engine import Engine
from seqdetect.sequence.requests import Keys

MAGIC: Final = b"seqdetect-checkpoint 1\n"


def save(engine: Engine, path: str | Path) -> None:
    """Write the engine's memory to ``path``."""
    stream, meta = engine.stream, engine.bundle.metadata
    users = len(stream.keys)
    engine.stepper.grow(users)
    facts = stream.featurizer.facts
    facts.grow(users)
    arrays: dict[str, NDArray[Any]] = {
        "state": engine.stepper.state[:users],
        "held": stream.clock.held,
        "pending": stream.pending,
        "duplicate_ids": stream.duplicates.ids,
        "duplicate_times": stream.duplicates.times,
        "population_ring": stream.population.ring,
        "population_ticks": stream.population.ticks,
        **{f"facts_{name}": getattr(facts, name)[:users] for name in facts.ARRAYS},
    }
    header = {
        "keys": stream.keys.names,
        "latest": stream.clock.latest,
        "run": stream.clock.run,
        "lead": stream.clock.lead,
        "tick_s": meta.tick_s,
        "state_hash": meta.state.hash,
    }
    buffer = io.BytesIO()
    text = np.frombuffer(json.dumps(header).encode(), np.uint8)
    np.savez(buffer, header=text, **arrays)  # type: ignore[arg-type]
    body = buffer.getvalue()
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    aside = Path(f"{path}.{os.getpid()}.part")
    aside.write_bytes(MAGIC + hashlib.sha256(body).hexdigest().encode() + b"\n" + body)
    os.replace(aside, path)


def restore(engine: Engine, path: str | Path) -> None:
    """Load the memory at ``path`` into a fresh engine.

    Raises ``FileNotFoundError``, or ``ValueError`` for a foreign or damaged file and for a bundle whose state
    layout is not the one the memory was made with.
    """
    header, arrays = _read(Path(path))
    meta = engine.bundle.metadata
    if header["state_hash"] != meta.state.hash or header["tick_s"] != meta.tick_s:
        raise ValueError(
            f"{path} was made by a bundle with another state layout; it cannot be kept for this one"
        )
    stream = engine.stream
    stream.keys = Keys(header["keys"])
    stream.clock.latest, stream.clock.run = header["latest"], header["run"]
    stream.clock.lead = header.get("lead", 0)
    stream.clock.held, stream.pending = arrays["held"], arrays["pending"]
    stream.duplicates.ids, stream.duplicates.times = arrays["duplicate_ids"], arrays["duplicate_times"]
    stream.population.ring, stream.population.ticks = arrays["population_ring"], arrays["population_ticks"]
    facts = stream.featurizer.facts
    for name in facts.ARRAYS:
        setattr(facts, name, arrays[f"facts_{name}"])
    engine.stepper.state = arrays["state"]


def _read(path: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint at {path}")
    content = path.read_bytes()
    if not content.startswith(MAGIC):
        raise ValueError(f"{path} is not a seqdetect checkpoint of version 1")
    digest, _, body = content[len(MAGIC) :].partition(b"\n")
    if hashlib.sha256(body).hexdigest().encode() != digest:
        raise ValueError(f"{path} is damaged or truncated: its checksum does not match")
    with np.load(io.BytesIO(body), allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    return json.loads(arrays.pop("header").tobytes()), arrays
