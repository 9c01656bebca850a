"""Secrets stand in the environment or in files of their own, never in a configuration, a log or an error."""

from __future__ import annotations

import os
from pathlib import Path


class Secret(str):
    """A text that shows itself to nobody who prints what holds it.

    A configuration gives ``{env: NAME}`` or ``{file: PATH}`` where a constructor asks for one.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return "Secret(...)"


def reveal(env: str | None, file: Path | None) -> Secret | None:
    """What the variable or the file holds, without white space around; None where neither is named.

    Raises ``ValueError`` that says where it was looked for.
    """
    if env is not None and file is not None:
        raise ValueError("a secret is in the environment or in a file; name one of the two")
    if file is not None:
        return _kept(file)
    if env is None:
        return None
    value = os.environ.get(env, "").strip()
    if not value:
        raise ValueError(f"the environment variable {env} is not set, or empty")
    return Secret(value)


def _kept(file: Path) -> Secret:
    try:
        value = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ValueError(f"cannot read {file}: {reason}") from None
    if not value:
        raise ValueError(f"{file} is empty")
    return Secret(value)
