"""The automatic window of time-series benchmarks: the strongest period of a series."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

LOOKED_AT = 20_000
MAX_LAG = 400
MIN_LAG = 3
MAX_WINDOW = 300
FALLBACK = 125
"""Samples; all five are the TSB-AD benchmark's settings, kept so that results compare."""


def window_length(values: npt.ArrayLike) -> int:
    """Lag, in samples, of the highest local maximum of the autocorrelation of ``values`` [time].

    125 where there is no local maximum (trends, constants) or the highest lies outside 6 to 303 samples.
    Agrees with the benchmark's ``find_length_rank(values, rank=1)`` and looks at the first 20,000 samples
    alone.
    """
    series = np.asarray(values, dtype=np.float64)[:LOOKED_AT]
    if series.ndim != 1 or not np.isfinite(series).all():
        raise ValueError("a window length needs one vector of finite values")
    centred = series - series.mean() if series.size else series
    size = centred.size
    transformed = np.fft.rfft(centred, 1 << max(2 * size - 1, 1).bit_length())
    correlation = np.fft.irfft(np.abs(transformed) ** 2)[MIN_LAG : min(size, MAX_LAG + 1)]
    rises = np.diff(correlation)
    peaks = np.flatnonzero((rises[:-1] > 0) & (rises[1:] < 0)) + 1
    if not peaks.size:
        return FALLBACK
    best = int(peaks[np.argmax(correlation[peaks])])
    return best + MIN_LAG if MIN_LAG <= best <= MAX_WINDOW else FALLBACK
