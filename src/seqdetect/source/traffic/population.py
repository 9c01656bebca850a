"""What users of an LLM API are like as a crowd: the constants that ``experiments/synthetic-traffic`` fits."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Marginal:
    """Token counts of one field, over users and within a user, in units of log(1 + tokens).

    A user's law is a mixture of two normals, moved and stretched to the user's own median and spread (half
    the distance between the 16 % and the 84 % quantile).
    """

    median_mean: float
    median_sd: float
    log_spread_mean: float
    log_spread_sd: float
    constant_users: float
    """Share of users whose requests have practically one length."""
    second_weight: tuple[float, float]
    """Beta parameters of the second component's weight."""
    second_offset: tuple[float, float]
    """Mean and standard deviation over users of its distance from the first, in the first's deviations."""
    second_log_scale: tuple[float, float]
    """The same for the log of its deviation over the first's."""
    slow_share: tuple[float, float]
    """Beta parameters of the part of a user's variance that lies between 6-h windows."""


PROMPT = Marginal(
    median_mean=6.217,
    median_sd=1.128,
    log_spread_mean=-1.177,
    log_spread_sd=0.96,
    constant_users=0.116,
    second_weight=(0.943, 3.814),
    second_offset=(1.255, 4.59),
    second_log_scale=(0.94, 1.395),
    slow_share=(0.795, 0.455),
)
COMPLETION = Marginal(
    median_mean=3.566,
    median_sd=1.675,
    log_spread_mean=-0.599,
    log_spread_sd=0.911,
    constant_users=0.075,
    second_weight=(1.133, 4.213),
    second_offset=(0.982, 4.758),
    second_log_scale=(0.959, 1.339),
    slow_share=(0.776, 0.52),
)


@dataclass(frozen=True)
class Population:
    """Sizes, rhythms, gaps and lengths of users (fitted), and the service around them (chosen)."""

    # Fitted by experiments/synthetic-traffic/fit.py on 2026-11-23 to ServeGen's m-large pool: the 95 clients
    # that were active on 7 or more of its 14 days, token counts to the 147 clients that have any. Shares,
    # sizes, gaps and token laws by moments; gate_*, rate_*, drift_share and
    # weekend_drop by simulated moments (hill climbing on KS distances of ten statistics; see its report.md).
    always_on: float = 0.126
    """Share of users active in every cell: machines."""
    active_share: tuple[float, float] = (0.603, 0.765)
    """Beta parameters of the share of active cells of the others."""
    log_rate_sd: float = 1.233
    """Over users, of the mean rate while active."""
    phase_h: float = 15.767
    phase_kappa: float = 0.996
    """Busiest hour of the day: mean, and von Mises concentration over users."""
    gate_rhythm: float = 0.665
    gate_rhythm_log_sd: float = 1.8
    gate_hours: float = 7.211
    gate_hours_log_sd: float = 1.518
    gate_white: float = 0.032
    """On/off process: weight of the clock and memory in hours (medians over users and their log deviations),
    and the part of its noise without memory."""
    rate_rhythm: float = 0.413
    rate_hours: float = 1.83
    rate_hours_log_sd: float = 2.0
    rate_white: float = 0.029
    rate_sd: float = 1.291
    rate_sd_log_sd: float = 0.323
    rate_skew: float = -0.076
    rate_skew_sd: float = 0.8
    drift_share: float = 0.055
    """Log rate while active: weight of the clock, memory, deviation and skew of its noise, and the parts of
    that noise without memory and with one of ``drift_hours``."""
    weekend_drop: float = 0.963
    """Mean over the users who rest on weekends, in log rate and in deviations of the gate."""
    log_cv: tuple[float, float, float] = (-0.846, 3.109, 0.378)
    """Least value, and shape and scale of the Gamma law above it, of users' log CV of gaps."""
    log_cv_within: float = 0.52
    log_cv_hours: float = 0.274
    """Deviation of a cell from its user's, and its memory."""
    weibull_share: tuple[float, float] = (0.5, 1.82)
    """Beta parameters."""
    prompt: Marginal = PROMPT
    completion: Marginal = COMPLETION
    length_correlation: tuple[tuple[float, ...], ...] = (
        (1.0, 0.19, 0.42, 0.16),
        (0.19, 1.0, 0.17, 0.55),
        (0.42, 0.17, 1.0, 0.16),
        (0.16, 0.55, 0.16, 1.0),
    )
    """Over users, of (prompt median, prompt log spread, completion median, completion log spread)."""
    length_hours: float = 3.437
    """Memory of the slow part of token counts."""

    # Chosen. Rhythm: too few days in ServeGen to tell these apart from what is fitted above.
    least_share: float = 0.02
    second_harmonic: float = 0.3
    weekend_users: float = 0.5
    drift_hours: float = 24.0
    daily_walk_sd: float = 0.05
    daily_length_walk_sd: float = 0.03
    regime_users: float = 0.15
    regime_rate: tuple[float, float] = (0.5, 1.5)
    regime_length: tuple[float, float] = (0.3, 1.0)
    """Lasting level changes: share of users, and the range of |change| of the log rate or of log tokens."""

    # Chosen. Lengths: within a request, Azure's traces have Spearman correlations of -.02 and .07.
    request_correlation: tuple[float, float] = (0.03, 0.1)
    prompt_limit: int = 30_720
    completion_limits: tuple[int, ...] = (1024, 2048, 4096, 8192, 8192, 8192)
    conversing_users: float = 0.4
    mean_turns: float = 4.0
    extra_threads: float = 1.0
    session_gap_s: float = 1800.0

    # Chosen. Clients and service: ServeGen records neither.
    fleet_users: float = 0.12
    fleet_addresses: tuple[int, int] = (8, 60)
    new_address: float = 0.01
    second_agent: float = 0.03
    model_popularity: tuple[float, ...] = (0.34, 0.26, 0.2, 0.12, 0.08)
    model_mixing: tuple[float, float] = (0.3, 2.5)
    bad_request_rate: float = 0.002
    too_many_rate: float = 0.001
    error_log_sd: float = 1.0
    failed_rate: float = 0.0004
    bad_bursts_a_day: float = 0.25
    """Service-wide bursts of errors per day; each takes ``bad_length_s``."""
    bad_length_s: tuple[float, float] = (60.0, 420.0)
    bad_failed_rate: float = 0.25
    bad_slowdown: float = 1.8
    load_effect: float = 0.25
    latency_log_sd: float = 0.25


POPULATION = Population()
