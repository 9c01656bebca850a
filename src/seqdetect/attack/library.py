"""All attacks and confounders there are: whatever the files of this folder define."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from typing import cast

from seqdetect import attack
from seqdetect.attack import Attack


def library() -> dict[str, Attack]:
    """Every attack by kind, with its default parameters."""
    found: dict[str, Attack] = {}
    for module in pkgutil.iter_modules(attack.__path__, f"{attack.__name__}."):
        for _, one in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            if one.__module__ == module.name and all(
                hasattr(one, name) for name in ("kind", "owasp", "atlas")
            ):
                made = cast(Attack, one())
                found[made.kind] = made
    return found
