from __future__ import annotations

import numpy as np
import pandas as pd

from seqdetect.attack.weave import inside, labelled, lively, merged, overwritten, woven


def events(times: list[int], user: str = "a", tokens: int = 10) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "timestamp": np.array(times, dtype=np.int64),
            "user_id": [user] * len(times),
            "prompt_tokens": np.full(len(times), tokens),
            "completion_tokens": np.full(len(times), tokens),
        }
    )


def test_merged_rows_are_in_time_order_and_the_old_come_first() -> None:
    both = merged(events([1, 3, 5]), events([0, 3, 9], tokens=20))
    assert both["timestamp"].tolist() == [0, 1, 3, 3, 5, 9]
    assert both["prompt_tokens"].tolist() == [20, 10, 10, 20, 10, 20]
    assert merged(events([1]), events([])).equals(events([1]))


def test_labels_are_half_open_and_per_user() -> None:
    labels = labelled(pd.concat([events([4, 9], "b"), events([2, 3], "a")]))
    assert labels.to_dict("list") == {"user_id": ["a", "b"], "start": [2, 4], "end": [4, 10]}
    assert labelled(events([2, 3]), 100)["end"].tolist() == [100]
    assert woven(events([1]), events([2])).incidents["start"].tolist() == [2]


def test_overwriting_changes_a_copy() -> None:
    old = events([1, 2, 3])
    new = overwritten(old, np.array([1]), events([2], tokens=99))
    assert new["prompt_tokens"].tolist() == [10, 99, 10]
    assert old["prompt_tokens"].tolist() == [10, 10, 10]


def test_silent_stretches_are_filled_up() -> None:
    frame = events([1, 2, 50])
    filled = lively(frame, "a", (10, 20), 3, np.random.default_rng(0))
    assert len(inside(filled, 10, 20)) == 3
    assert lively(frame, "a", (0, 10), 2, np.random.default_rng(0)) is frame
