"""The names that a service can tell Prometheus, for tests of what asks for them."""

from __future__ import annotations

import re

from seqdetect.serve.judged import Judged
from seqdetect.serve.metrics import Metrics

SUFFIXES = {"counter": ["_total"], "histogram": ["_bucket", "_count", "_sum"]}
_NAME = re.compile(r"(?<![\w:])seqdetect_\w+")


def names() -> set[str]:
    """Every sample's name, whether or not it has happened yet."""
    metrics = Metrics()
    families = [*metrics.registry.collect(), *metrics.top.collect(), *Judged(dict).collect()]
    return {one.name + suffix for one in families for suffix in SUFFIXES.get(one.type, [""])}


def asked(expression: str) -> set[str]:
    """The names of ours in PromQL, those of recording rules left out."""
    return set(_NAME.findall(re.sub(r"\w+:[\w:]+", "", expression)))
