"""More of the same is told from longer requests, other addresses and failing answers."""

from __future__ import annotations

import pytest

from seqdetect.alert.aspect import Aspect, aspect
from seqdetect.score.attribution import Cause

MORE = Cause("requests", 39.0, 3.0, 1.0)


@pytest.mark.parametrize(
    ("causes", "about"),
    [
        ([MORE], Aspect.RATE),
        ([Cause("prompt_tokens", 9_999.0, 999.0, 3.0), MORE], Aspect.RATE),
        ([Cause("prompt_tokens", 99_999.0, 999.0, 3.0), MORE], Aspect.LENGTHS),
        ([Cause("completion_tokens", 4_999.0, 999.0, 3.0)], Aspect.LENGTHS),
        ([Cause("completion_tokens", 1_999.0, 999.0, 3.0)], Aspect.RATE),
        ([Cause("addresses", 9.0, 1.0, 3.0), MORE], Aspect.ADDRESSES),
        ([Cause("errors", 0.5, 0.0, 3.0), MORE], Aspect.ANSWERS),
        ([Cause("latency", 9_000.0, 800.0, 3.0), MORE], Aspect.ANSWERS),
        ([Cause("gap_dispersion", 0.1, 2.0, 3.0), MORE], Aspect.OTHER),
        ([], Aspect.OTHER),
    ],
)
def test_the_leading_cause_decides(causes: list[Cause], about: Aspect) -> None:
    assert aspect(causes) is about
