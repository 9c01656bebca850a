"""Which rows a detector is fitted on."""

from __future__ import annotations

import numpy as np

from seqdetect.detector import Rows, sample


def rows(counts: list[int]) -> Rows:
    user = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    n = len(user)
    values = np.arange(n, dtype=np.float32)[:, None]
    return Rows(values, user, np.arange(n) * 10, np.arange(n) % 7 != 0)


def test_only_usable_rows_each_once() -> None:
    given = rows([50, 60])
    taken = sample(given, 1_000, 0)[:, 0].astype(int)
    assert len(taken) == len(set(taken.tolist())) == given.usable.sum()
    assert given.usable[taken].all()


def test_the_loudest_user_does_not_fill_the_sample() -> None:
    given = rows([100_000, *[50] * 9])
    taken = sample(given, 1_000, 0)[:, 0].astype(int)
    share = np.bincount(given.user[taken], minlength=10)
    assert share[0] <= 301
    assert (share[1:] >= 40).all()


def test_the_seed_decides() -> None:
    given = rows([5_000, 5_000])
    first, again, another = (sample(given, 500, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert len(first) <= 500
    assert not np.array_equal(first, another)


def test_take_keeps_columns_together() -> None:
    part = rows([3, 3]).take(slice(2, 5))
    assert part.user.tolist() == [0, 1, 1]
    assert part.tick.tolist() == [20, 30, 40]
    assert len(part) == 3
