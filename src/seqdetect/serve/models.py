"""The models that the configuration names, with their bundles loaded."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from seqdetect.alert.policy import Policy
from seqdetect.alert.prices import Price, Prices
from seqdetect.bundle.load import Bundle, load
from seqdetect.scorer import KEYS, Model
from seqdetect.serve import config
from seqdetect.serve.document import Document, hint


@dataclass(frozen=True)
class Stamp:
    """What shows cheaply that a file is not the one it was."""

    modified_ns: int
    size: int
    inode: int

    @classmethod
    def of(cls, path: Path) -> Stamp | None:
        """The stamp of the file at ``path``; None where there is none."""
        try:
            found = os.stat(path)
        except OSError:
            return None
        return cls(found.st_mtime_ns, found.st_size, found.st_ino)


@dataclass(frozen=True)
class Loaded:
    """A bundle and the file it came from."""

    bundle: Bundle
    stamp: Stamp | None
    digest: str
    """SHA-256 of the file."""


Bundles = dict[Path, Loaded]


def opened(path: Path, before: Loaded | None = None) -> Loaded:
    """The bundle at ``path``; the one loaded ``before`` where the content is the same.

    Raises ``FileNotFoundError``, or ``ValueError`` for what is no bundle or changes while it is read.
    """
    stamp = Stamp.of(path)
    if stamp is None:
        raise FileNotFoundError(f"no bundle at {path}")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    bundle = before.bundle if before is not None and before.digest == digest else load(path)
    if Stamp.of(path) != stamp:
        raise ValueError(f"{path} changed while it was read; it is looked at again")
    return Loaded(bundle, stamp, digest)


def open_all(
    wanted: Sequence[config.Model], here: Document, before: Mapping[Path, Loaded] | None = None
) -> Bundles:
    """Every bundle that the models name, once. Raises ``ValueError`` that names the setting."""
    bundles: Bundles = {}
    for place, model in enumerate(wanted):
        if model.bundle in bundles:
            continue
        try:
            bundles[model.bundle] = opened(model.bundle, (before or {}).get(model.bundle))
        except (OSError, ValueError) as error:
            raise here.inside(f"models[{place}]", None).error(str(error), "bundle") from error
    return bundles


def build(
    wanted: Sequence[config.Model], bundles: Mapping[Path, Loaded], here: Document, policy: Policy
) -> list[Model]:
    """The scorer's models, in order. Raises ``ValueError`` for a key that does not exist."""
    built = []
    for place, model in enumerate(wanted):
        bundle = bundles[model.bundle].bundle
        key = model.key or bundle.metadata.key
        if key not in KEYS:
            raise here.inside(f"models[{place}]", None).error(
                f"{key} is nothing that users are told apart by{hint(key, dict.fromkeys(KEYS))}", "key"
            )
        prices = _prices(config.prices(model, here.inside(f"models[{place}]", None)))
        built.append(
            Model(
                model.name, bundle, key, model.thresholds, prices, model.runbooks, policy, shadow=model.shadow
            )
        )
    return built


def _prices(given: Mapping[str, config.Price]) -> Prices | None:
    found = {name: Price(one.prompt, one.completion) for name, one in given.items()}
    default = found.pop(config.DEFAULT, None)
    return Prices(default, found) if given else None
