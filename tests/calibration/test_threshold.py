"""From budgets to thresholds."""

from __future__ import annotations

import pytest

from seqdetect.calibration.threshold import allowed_episodes, poisson_upper_bound


@pytest.mark.parametrize(("expected", "allowed"), [(2.9, 0), (4.8, 1), (16.97, 10), (16.9, 9)])
def test_so_many_episodes_are_allowed_that_their_upper_bound_keeps_the_budget(
    expected: float, allowed: int
) -> None:
    assert allowed_episodes(expected) == allowed
    assert poisson_upper_bound(allowed + 1) > expected
    if allowed:
        assert poisson_upper_bound(allowed) <= expected
