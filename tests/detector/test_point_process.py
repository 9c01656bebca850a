"""Chunks that count every step once, and mixtures that are distributions and know nothing too early."""

from __future__ import annotations

import numpy as np
import torch

from detector.stepping import as_rows
from seqdetect.detector import Rows
from seqdetect.detector.block.context import COLUMNS
from seqdetect.detector.point_process import (
    BURN_IN,
    CLOCK,
    LOGIT_SCALE,
    MARKS,
    Chunks,
    PointProcess,
    negative_log_density,
    normal_score,
)

WIDTH = COLUMNS + CLOCK + 1


def _rows(n: int, users: int) -> Rows:
    return as_rows(np.random.default_rng(0).normal(size=(n, WIDTH)).astype(np.float32), users)


def _mean(net: PointProcess, before: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """[n, mark, component] means, from the distances to them."""
    distance, scale, _ = net.mixtures(before, rows)
    return rows[:, list(MARKS)][:, :, None] - distance * scale.exp()


def test_each_usable_row_counts_once_after_its_users_past() -> None:
    rows = _rows(301, 4)
    usable = np.random.default_rng(1).random(301) < 0.8
    rows = Rows(rows.values, rows.user, rows.tick, usable)
    chunks = Chunks.of(rows, 32)
    np.testing.assert_array_equal(np.sort(chunks.index[chunks.counted]), np.flatnonzero(usable))
    assert (rows.user[chunks.index] == rows.user[chunks.index[:, :1]]).all()
    inner = np.diff(chunks.index, axis=1)
    assert (inner[chunks.counted[:, 1:]] == 4).all()  # users take turns: a user's next row is four on
    later = chunks.index[:, 0] >= 4
    assert later.any()
    assert not chunks.counted[later, :BURN_IN].any()


def test_a_density_adds_up_to_one_and_the_score_is_its_integral() -> None:
    torch.manual_seed(0)
    mark = torch.linspace(-60.0, 60.0, 24_001, dtype=torch.float64)[:, None, None]
    mean, scale, weight = torch.randn(3, 1, 4, 3, dtype=torch.float64)
    mixture = (
        (mark - mean) * torch.exp(-scale),
        scale.expand(len(mark), 4, 3),
        weight.expand(len(mark), 4, 3),
    )
    density = torch.exp(-negative_log_density(*mixture)).numpy()
    below = np.cumsum((density[1:] + density[:-1]) / 2.0 * 0.005, axis=0)
    np.testing.assert_allclose(below[-1], 1.0, atol=1e-6)
    logit = normal_score(*mixture).numpy()[1:] * LOGIT_SCALE
    inside = (below > 1e-4) & (below < 1.0 - 1e-4)
    np.testing.assert_allclose(1.0 / (1.0 + np.exp(-logit[inside])), below[inside], atol=1e-4)


def test_a_mark_is_predicted_from_the_marks_before_it_alone() -> None:
    torch.manual_seed(0)
    net, before = PointProcess(5), torch.randn(1, 5)
    rows = torch.randn(1, WIDTH)
    usual = _mean(net, before, rows)
    for place, column in enumerate(MARKS):
        changed = rows.clone()
        changed[:, column] += 1.0
        moved = ((_mean(net, before, changed) - usual).abs() > 1e-4).all(dim=2)[0].tolist()
        assert moved == [mark > place for mark in range(len(MARKS))]
    later = rows.clone()
    later[:, COLUMNS : COLUMNS + 2] += 1.0
    moved = ((_mean(net, before, later) - usual).abs() > 1e-4).all(dim=2)[0].tolist()
    assert moved == [False, True, True, True]  # the time at the end of a gap would tell the gap


def test_a_forecast_does_not_see_its_own_step() -> None:
    torch.manual_seed(0)
    net, rows = PointProcess(5), torch.randn(2, 9, WIDTH)
    changed = rows.clone()
    changed[:, 6, :COLUMNS] += 1.0
    changed[:, 6, list(MARKS)] = rows[:, 6, list(MARKS)]
    same = [torch.isclose(a, b).all(dim=(0, 2, 3)) for a, b in zip(net(rows), net(changed), strict=True)]
    assert all(bool(one[:7].all()) and not bool(one[7]) for one in same)
