"""Causes of scores as sentences that need no glossary."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

NOUNS: Final = {
    "requests": "requests",
    "prompt_tokens": "prompt tokens",
    "completion_tokens": "completion tokens",
    "prompt_mean": "prompt tokens per request",
    "completion_mean": "completion tokens per request",
    "addresses": "addresses",
    "new_addresses": "addresses never seen before",
    "new_models": "models never asked before",
    "errors": "of requests failed",
    "repeats": "of requests repeat the sizes of the one before",
    "gap": "of silence before",
    "gap_mean": "between requests",
    "latency": "until an answer",
}
"""What follows a value; a feature that is neither here nor below goes by its own name."""
SPREADS: Final = {
    "prompt_dispersion": "spread of prompt sizes",
    "completion_dispersion": "spread of completion sizes",
    "gap_dispersion": "unevenness of pauses",
}
"""What goes before a value without a unit: a standard deviation of logarithms."""
_ONE: Final = {
    "requests": "request",
    "addresses": "address",
    "addresses never seen before": "address never seen before",
    "models never asked before": "model never asked before",
}
_SUMS: Final = ("requests", "prompt_tokens", "completion_tokens")
_SHARES: Final = ("errors", "repeats")
_MILLISECONDS: Final = ("gap", "gap_mean", "latency")
_TIMES_FROM: Final = 1.5
"""From this ratio on it is worth saying how many times as much it is."""


def cause(told: Mapping[str, Any], tick_s: float) -> str:
    """One of an alert's ``top_features``: ``900 requests in 10 s, usually 12 (75 times as much)``."""
    name, value, usual = told["name"], told["value"], told.get("expected")
    text = (
        f"{SPREADS[name]} {amount(value)}"
        if name in SPREADS
        else f"{quantity(name, value)} {_noun(name, value)}"
    )
    if name in _SUMS:
        text += f" in {tick_s:g} s"
    if usual is None:
        return text
    text += f", usually {quantity(name, max(usual, 0.0))}"
    if name in NOUNS and usual > 0 and value / usual >= _TIMES_FROM:
        text += f" ({times(value / usual)} times as much)"
    return text


def _noun(name: str, value: float) -> str:
    noun = NOUNS.get(name, name)
    return _ONE.get(noun, noun) if value == 1 else noun


def quantity(name: str, value: float) -> str:
    """A value of the feature ``name`` with its unit, where it has one."""
    if name in _SHARES:
        return f"{value:.0%}"
    if name in _MILLISECONDS:
        return duration(value / 1000)
    return amount(value)


def amount(value: float) -> str:
    """Whole from 20 on, else as many digits as matter."""
    return f"{value:,.0f}" if abs(value) >= 20 or value == round(value) else f"{value:.2g}"


def times(ratio: float) -> str:
    return f"{ratio:,.0f}" if ratio >= 10 else f"{ratio:.1f}".removesuffix(".0")


def duration(seconds: float) -> str:
    """In the one unit that suits it."""
    for unit, size in (("d", 86_400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return (
        f"{seconds:.0f} s"
        if seconds >= 20
        else f"{seconds:.1f} s"
        if seconds >= 1
        else f"{1000 * seconds:.0f} ms"
    )
