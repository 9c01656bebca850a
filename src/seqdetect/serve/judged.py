"""Verdicts on alerts, in figures."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from seqdetect.serve.logs import say

LOG = logging.getLogger(__name__)


class Judged(Collector):
    """How many alerts count as true, false or benign. A gauge: a later verdict replaces the one before it.

    ``counts`` is asked at each scrape; while it fails, the figure is absent and all others stay.
    """

    def __init__(self, counts: Callable[[], Mapping[str, int]]) -> None:
        self._counts = counts

    def describe(self) -> Iterable[Metric]:
        """Nothing is asked for at the start."""
        return ()

    def collect(self) -> Iterator[Metric]:
        family = GaugeMetricFamily("seqdetect_alerts_judged", "Alerts by their verdict", labels=["verdict"])
        try:
            for verdict, alerts in self._counts().items():
                family.add_metric([verdict], alerts)
        except (OSError, ValueError) as error:
            say(LOG, logging.WARNING, "verdicts_not_read", error=str(error))
        yield family
