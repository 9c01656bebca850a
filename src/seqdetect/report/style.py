"""One look per detector on every plot: colour, dash and marker, so that colour is never the only carrier."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from seqdetect.report.entry import BASELINES, RANDOM, Entry

PALETTE = (
    "#4c78d0",
    "#e8893a",
    "#3f9c6d",
    "#c9507c",
    "#8b63c9",
    "#2f9fb3",
    "#b5892c",
    "#d4604f",
    "#6b8e23",
    "#a0623f",
    "#5a5fa8",
    "#c26bb0",
    "#4a7a5a",
    "#8a6d4f",
)
BASELINE_COLOURS = dict(zip(BASELINES, ("#7d8597", "#a3927a", "#7fa39a"), strict=True))
RANDOM_COLOUR = "#9aa0a6"
MARKERS = ("circle", "diamond", "square", "triangle-up", "x", "star", "hexagon", "cross")
GLYPHS = dict(zip(MARKERS, "●◆■▲✕★⬢✚", strict=True))


@dataclass(frozen=True)
class Look:
    """Plotly's names for colour, dash and marker; ``glyph`` is the marker as text."""

    colour: str
    dash: str
    marker: str
    width: float

    @property
    def glyph(self) -> str:
        return GLYPHS[self.marker]


def looks(board: Sequence[Entry]) -> dict[str, Look]:
    """Looks by detector name, given by alphabet so that a detector keeps its look whatever its rank."""
    learnt = sorted(entry.name for entry in board if entry.name not in BASELINES)
    table = {
        name: Look(PALETTE[i % len(PALETTE)], "solid", MARKERS[i % len(MARKERS)], 2.0)
        for i, name in enumerate(learnt)
    }
    for i, (name, colour) in enumerate(BASELINE_COLOURS.items()):
        table[name] = Look(colour, "dash", MARKERS[i], 2.0)
    for entry in board:
        if entry.role == "champion":
            own = table[entry.name]
            table[entry.name] = Look(own.colour, own.dash, own.marker, 4.0)
    return table | {RANDOM: Look(RANDOM_COLOUR, "dot", "circle", 1.5)}
