"""Which column of a file is which of ours."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TYPE_CHECKING

from seqdetect.events import ALIASES, OPTIONAL, REQUIRED
from seqdetect.source.parse.times import Clock
from seqdetect.source.pseudonym import Pseudonyms

if TYPE_CHECKING:
    from seqdetect.source.adapter import Adapter

LOG = logging.getLogger(__name__)
KEY = "user_id"


@dataclass(frozen=True)
class Layout:
    """How to read a file: its key, its column names where they are unusual, its clock.

    ``columns`` maps our names to the file's and goes before the aliases. A file without any key column is
    one user, ``lone_user``; with an ``empty_user`` a row with an empty key is that user's and not rejected.
    With ``pseudonyms`` no name leaves the reading of a file as it stands there. With an ``adapter`` the file is
    not of events but of another program's records, which have their own names and times.
    """

    key: str = KEY
    columns: Mapping[str, str] = field(default_factory=dict)
    clock: Clock = field(default_factory=Clock)
    lone_user: str = "all"
    empty_user: str | None = None
    pseudonyms: Pseudonyms | None = None
    adapter: Adapter | None = None

    def __post_init__(self) -> None:
        known = {*REQUIRED.names, *OPTIONAL.names, self.key}
        for own in self.columns:
            if own not in known:
                raise ValueError(
                    f"columns names {own!r}, which is none of ours: {sorted(known)}{_hint(own, known)}"
                )
        if self.key != KEY and KEY in self.columns:
            raise ValueError(f"both key={self.key!r} and columns[{KEY!r}] name the user; leave one out")

    def candidates(self, own: str) -> list[str]:
        """The names under which a file may hold our column ``own``, best first."""
        source = self.key if own == KEY else own
        names = [source, *ALIASES.get(source, ())]
        return [self.columns[source], *names] if source in self.columns else names


def match(names: Sequence[str], candidates: Sequence[str]) -> str | None:
    """The first candidate that is among ``names``, as it stands or else but for its case."""
    folded = {name.casefold(): name for name in reversed(names)}
    for candidate in candidates:
        if candidate in names:
            return candidate
        if candidate.casefold() in folded:
            return folded[candidate.casefold()]
    return None


def resolve(names: Sequence[str], layout: Layout, origin: str) -> dict[str, str]:
    """Our column names to the file's, for those it has. ``names`` are the file's columns.

    Raises ``ValueError`` when a required column is missing, or a key asked for by name.
    """
    found: dict[str, str] = {}
    for own in (*REQUIRED.names, *OPTIONAL.names):
        name = match(names, layout.candidates(own))
        if name is not None:
            found[own] = name
        elif own in REQUIRED.names and not (own == KEY and layout.key == KEY):
            raise missing(own, names, layout, origin)
        elif own in layout.columns:
            LOG.warning(
                "%s has no column %r for %s; found: %s", origin, layout.columns[own], own, list(names)
            )
    return found


def missing(own: str, names: Sequence[str], layout: Layout, origin: str) -> ValueError:
    """The error for a file that lacks the column ``own``."""
    accepted = layout.candidates(own)
    what = f"the key {layout.key!r}" if own == KEY else repr(own)
    hint = next((h for h in (_hint(name, names) for name in accepted) if h), "")
    return ValueError(
        f"{origin}: no column for {what}. Accepted names: {accepted}; columns found: {list(names)}{hint}. "
        f"Name it with columns={{{own!r}: ...}}, and check that the file starts with its header"
    )


def _hint(name: str, names: Sequence[str] | set[str]) -> str:
    close = get_close_matches(name.casefold(), [other.casefold() for other in names], n=1, cutoff=0.75)
    return f" (did you mean {close[0]!r}?)" if close else ""
