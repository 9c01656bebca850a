"""Does what was learnt beat simple statistics? Recall at the tightest budget, each at its best threshold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from seqdetect.report import quantity
from seqdetect.report.entry import BASELINES, Entry
from seqdetect.report.quantity import Estimate


def against_baselines(board: Sequence[Entry], asked: str) -> list[str]:
    """Sentences: which baselines each neural detector beats, and which others pass the best baseline.

    ``asked`` is the budget in words. All take their best threshold within it on the test span, so that
    rankings are compared and nothing else. Empty without a baseline, or without anything else.
    """
    known = {
        entry.name: entry.estimate(*entry.point("critical", "best"), "recall", bounds=(0.0, 1.0))
        for entry in board
    }
    known = {name: one for name, one in known.items() if one.value is not None}
    bars = {name: one for name, one in known.items() if name in BASELINES}
    rivals = [entry for entry in board if entry.name in known and entry.name not in BASELINES]
    if not bars or not rivals:
        return []
    told = [f"Compared at equal false alerts ({asked}, the best threshold for each):"]
    told += [_verdict(entry.name, known[entry.name], bars) for entry in rivals if entry.neural]
    return told + _others({entry.name: known[entry.name] for entry in rivals if not entry.neural}, bars)


def _verdict(name: str, own: Estimate, bars: Mapping[str, Estimate]) -> str:
    beaten = [f"{bar} ({one})" for bar, one in bars.items() if _ahead(own, one)]
    ahead = [f"{bar} ({one})" for bar, one in bars.items() if not _ahead(own, one)]
    if ahead:
        beats = f"; it beats {quantity.listed(beaten)}" if beaten else ""
        return f"{name} ({own}) does not beat {quantity.listed(ahead, 'or')}{beats}."
    doubt = ", though the intervals overlap" if any(_overlap(own, one) for one in bars.values()) else ""
    return f"{name} ({own}) beats {quantity.listed(beaten)}{doubt}."


def _others(rivals: Mapping[str, Estimate], bars: Mapping[str, Estimate]) -> list[str]:
    best = max(bars, key=lambda bar: bars[bar].value or 0.0)
    bar = f"the best baseline, {best} ({bars[best]})"
    told = []
    for verb, wanted in (("Ahead of", True), ("Not ahead of", False)):
        group = [f"{name} ({one})" for name, one in rivals.items() if _ahead(one, bars[best]) is wanted]
        if group:
            told.append(f"{verb} {bar}: {quantity.listed(group)}.")
            bar = "it"
    return told


def _ahead(one: Estimate, other: Estimate) -> bool:
    return (one.value or 0.0) > (other.value or 0.0)


def _overlap(one: Estimate, other: Estimate) -> bool:
    return one.low is not None and other.high is not None and one.low <= other.high
