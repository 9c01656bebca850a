"""What an alert means for the business: what it costs, how much of the traffic it is, what it burns of an objective."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Impact:
    """Over the recent time of one alert; None is not known."""

    cost_per_hour_usd: float | None = None
    traffic_share: float | None = None
    """Share of all tokens."""
    slo_burn: float | None = None
    """How many times as fast as allowed the service uses up its error budget."""


NO_IMPACT: Final = Impact()
