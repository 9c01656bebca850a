"""Which windows are trained on, and what is left after training."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from seqdetect.detector import Rows
from seqdetect.detector.window_training import Batches, clean_windows, in_parts, train

CPU = {"max_epochs": 4, "accelerator": "cpu"}


class Level(nn.Module):
    """Guesses the same number for every value."""

    def __init__(self) -> None:
        super().__init__()
        self.level = nn.Parameter(torch.zeros(1))

    def forward(self, window: Tensor) -> Tensor:
        return ((window - self.level) ** 2).mean(dim=2)


def rows(count: int, usable: slice, users: int = 1) -> Rows:
    """Rows that hold their own number."""
    number = np.arange(count)
    chosen = np.zeros(count, bool)
    chosen[usable] = True
    return Rows(number[:, None].astype(np.float32), (number % users).astype(np.int32), number, chosen)


def test_windows_are_of_usable_rows_and_the_last_are_held_back() -> None:
    (values, mask), (late, _) = clean_windows(rows(100, slice(20, 100)), 3, 1_000, 0)
    assert mask.all()
    assert values.min() == 20.0
    assert values[:, 2].max() < late[:, 2].min()
    assert len(np.unique(values[:, 2])) + len(late) == 78


def test_at_most_so_many_windows() -> None:
    (values, _), (late, _) = clean_windows(rows(1_000, slice(0, 1_000)), 3, 80, 0)
    assert len(values) == 80
    assert len(late) == 10


def test_too_few_data_leave_windows_that_reach_back() -> None:
    (values, _), (late, _) = clean_windows(rows(4, slice(3, 4)), 3, 10, 0)
    np.testing.assert_array_equal(values[:, :, 0], [[1.0, 2.0, 3.0]])
    np.testing.assert_array_equal(late, values)


def test_batches_hold_every_window_once_and_zeros_where_masked() -> None:
    values = np.arange(1, 13, dtype=np.float32).reshape(6, 2, 1)
    mask = np.array([[False, True]] + [[True, True]] * 5)
    batches = Batches((values, mask), 4, torch.Generator().manual_seed(0))
    found = [window for window, _ in batches]
    assert len(batches) == len(found) == 2
    wanted = np.sort(np.where(mask[:, :, None], values, 0.0), axis=0)
    np.testing.assert_array_equal(np.sort(torch.cat(found).numpy(), axis=0), wanted)


def test_parts_are_the_windows_of_all_rows() -> None:
    wanted = [[0, 0, 0], [0, 0, 1], [0, 0, 2], [0, 1, 3], [0, 2, 4], [1, 3, 5], [2, 4, 6]]
    parts = list(in_parts(rows(7, slice(0, 7), users=2), 3, size=4))
    assert [part for part, _, _ in parts] == [slice(0, 4), slice(4, 8)]
    np.testing.assert_array_equal(torch.cat([window for _, window, _ in parts])[:, :, 0], wanted)
    masks = torch.cat([mask for _, _, mask in parts])
    np.testing.assert_array_equal(masks.sum(dim=1), [1, 1, 2, 2, 3, 3, 3])


# lightning asks torch about trees in a way that torch deprecates
@pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec.*:FutureWarning")
def test_the_best_epoch_is_kept() -> None:
    one = np.ones((40, 2, 1), np.float32)
    mask = np.ones((40, 2), bool)
    # what is held back stands at 0.1: the way to 1 leads past it
    held_back = Batches((one * 0.1, mask), 40)
    with torch.random.fork_rng():
        net = Level()
        losses = train(net, Batches((one, mask), 40), held_back, 0.08, CPU)
    validation = [epoch["validation_loss"] for epoch in losses]
    assert np.argmin(validation) < len(validation) - 1
    level = net.level.detach().numpy()[0]
    np.testing.assert_allclose((level - 0.1) ** 2, min(validation), atol=1e-7)
    assert not net.training


@pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec.*:FutureWarning")
def test_absent_steps_do_not_count() -> None:
    values = np.full((8, 2, 1), 5.0, np.float32)
    mask = np.array([[False, True]] * 8)
    with torch.random.fork_rng():
        losses = train(Level(), Batches((values, mask), 8), Batches((values, mask), 8), 1e-9, CPU)
    assert losses[0]["validation_loss"] == pytest.approx(25.0)
