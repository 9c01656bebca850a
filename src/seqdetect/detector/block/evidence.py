"""What speaks for an incident, over time scales from a minute and a half to hours.

One step rarely proves anything: a single odd prompt is no attack, twenty in ten minutes are. So each step's
distances from the user's usual are added up with several decays, and stated against what chance would give.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import block_diag

from seqdetect.detector.block.context import AMOUNTS, TRAILING_S, Context
from seqdetect.detector.block.context import COLUMNS as CONTEXT_COLUMNS
from seqdetect.detector.block.decay import factors
from seqdetect.detector.block.hours import usual_hour
from seqdetect.detector.block.level import departure
from seqdetect.detector.block.rate import usual_rate
from seqdetect.detector.block.upper import upper
from seqdetect.detector.graph import Value
from seqdetect.sequence.features import FEATURES, INDEX, SCORED
from seqdetect.sequence.population import NAMES as POPULATION

SUMMED: Final = (
    "prompt_mean",
    "completion_mean",
    "gap_mean",
    "requests",
    "prompt_dispersion",
    "completion_dispersion",
    "gap_dispersion",
    "repeats",
    "errors",
    "latency",
    "new_addresses",
    "addresses",
    "new_models",
)
"""Features whose deviations are added up over time."""
SQUARED: Final = 4
"""The first so many of them with their squares too: a metronome's gaps do not deviate, they deviate too little."""
PER_REQUEST: Final = 2
"""The first so many are means over the step's requests: twenty alike say more than one."""
MOST_ROOT: Final = 6.0
Z_LIMIT: Final = 6.0
SCALES: Final = TRAILING_S
RATES: Final = len(AMOUNTS) * len(SCALES)


class Column(NamedTuple):
    """One column of evidence."""

    name: str
    scale_s: float
    """Time constant; 0 for what the present step alone says."""


def _columns() -> tuple[Column, ...]:
    trailing = [(amount, scale) for scale in SCALES for amount in AMOUNTS]
    out = [Column(feature.name, 0.0) for feature in FEATURES[:SCORED]]
    for what in ("deviation", "ratio", "above_upper"):
        out += [Column(f"{amount}_{what}", scale) for amount, scale in trailing]
    for part in (SUMMED[:SQUARED], SUMMED[SQUARED:]):
        out += [Column(f"{name}_sum", scale) for scale in SCALES for name in part]
    out += [Column(f"{name}_spread", scale) for scale in SCALES for name in SUMMED[:SQUARED]]
    out += [Column(f"{name}_mean_deviation", scale) for scale in SCALES for name in SUMMED[:SQUARED]]
    out += [Column("steps", scale) for scale in SCALES]
    out += [Column("requests_to_usual_rate", scale) for scale in SCALES]
    out += [Column(f"everybody_{name}", 0.0) for name in POPULATION]
    last = ("usual_hour", "hours_known", "usual_rate", "known_for", "silence")
    return (*out, *(Column(name, 0.0) for name in last))


COLUMNS: Final = _columns()
WIDTH: Final = len(COLUMNS)


def evidence(context: Context) -> Value:
    """[n, ``WIDTH``] the columns of ``COLUMNS``."""
    g = context.graph
    rates = slice(SCORED, SCORED + RATES)
    logs = context.values.columns(SCORED, SCORED + RATES)
    mean = context.prior.mean[rates]
    deviation = np.sqrt(context.prior.variance[rates]).astype(np.float32)
    ratio = logs - context.usual.columns(SCORED, SCORED + RATES)
    above = logs - upper(g, "upper", logs, context.elapsed, mean + 2.0 * deviation, deviation)
    requests = context.amount("requests")
    usual, known_for = usual_rate(g, "rate", requests, context.elapsed)
    hour, hours_known = usual_hour(
        g, "hours", context.feature("second_of_day"), context.feature("requests"), context.elapsed
    )
    surge = departure(g, "everybody", context.population, len(POPULATION), context.elapsed)
    silence = (context.elapsed + 1.0).log(1)
    return g.concat(
        context.z,
        ratio,
        above,
        *_accumulated(context, requests),
        _to_usual_rate(logs, usual),
        surge,
        hour,
        hours_known,
        usual,
        known_for,
        silence,
    )


def _accumulated(context: Context, requests: Value) -> list[Value]:
    """Sums of deviations against chance, spreads, mean deviations and log steps, each by time scale."""
    scales, others = len(SCALES), len(SUMMED) - SQUARED
    steps, squared, sums = _sums(context, requests)
    # so many steps add up to the root of their number by chance; a few of them prove nothing about a mean
    chance, shrunk = 1.0 / (steps + 1.0).sqrt(), (1.0 / (steps + 4.0)) @ _by_scale(SQUARED)
    total = sums * (chance @ np.hstack([_by_scale(SQUARED), _by_scale(others)]))
    spread = (squared * shrunk + 0.05).sqrt()
    average = sums.columns(0, scales * SQUARED) * shrunk
    return [total, spread, average, (steps + 1.0).log(scales)]


def _sums(context: Context, requests: Value) -> tuple[Value, Value, Value]:
    """Decayed sums, by time scale: of steps [n, S], of squares [n, 4 S], and of deviations [n, 13 S]."""
    g, scales, others = context.graph, len(SCALES), len(SUMMED) - SQUARED
    strength = np.zeros((1, len(SUMMED)), np.float32)
    strength[0, :PER_REQUEST] = 1.0
    root = requests.sqrt().clip(high=MOST_ROOT)
    z = context.z @ np.eye(CONTEXT_COLUMNS)[:, [INDEX[name] for name in SUMMED]]
    z = (z * (root @ strength + (1.0 - strength))).clip(-Z_LIMIT, Z_LIMIT)
    first = z.columns(0, SQUARED)
    amounts = g.concat(requests * 0.0 + 1.0, first * first, z)
    before = g.state("evidence", np.zeros(scales * (1 + 2 * SQUARED + others)))
    widths = (1, SQUARED, SQUARED, others)
    fades = factors(context.elapsed, SCALES) @ np.hstack([_by_scale(width) for width in widths])
    after = before * fades + amounts @ block_diag(*[np.tile(np.eye(width), scales) for width in widths])
    g.update("evidence", after)
    edge = scales * (1 + SQUARED)
    return (
        after.columns(0, scales),
        after.columns(scales, edge),
        after.columns(edge, edge + scales * len(SUMMED)),
    )


def _by_scale(width: int) -> NDArray[np.float64]:
    """[S, S * width] copies each time scale's column ``width`` times."""
    return np.asarray(np.kron(np.eye(len(SCALES)), np.ones((1, width))), np.float64)


def _to_usual_rate(logs: Value, usual: Value) -> Value:
    """[n, scales] log requests of each time scale beside what the usual rate would give."""
    hours = np.log(np.array(SCALES, np.float32) / 3600.0)[None, :]
    expected: Value = ((usual + hours).exp() + 1.0).log(len(SCALES))
    return logs @ np.eye(RATES)[:, :: len(AMOUNTS)] - expected
