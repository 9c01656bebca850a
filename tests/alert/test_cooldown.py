"""Resolved alerts come back within the cooldown; a flood of users does not fill the memory."""

from __future__ import annotations

from msgspec.structs import replace

from seqdetect.alert.alert import WARNING, Alert
from seqdetect.alert.cooldown import MOST, Cooldown

ALERT = Alert("id", "a", 0, 10, WARNING, "flood", 3.0, (), 1, 1)


def test_it_gives_back_within_its_length_and_only_once() -> None:
    cooldown = Cooldown(100)
    for now, found in ((1100, ALERT), (1101, None)):
        cooldown.put(ALERT, 1000)
        assert cooldown.take("b", now) is None
        assert cooldown.take("a", now) == found
        assert cooldown.take("a", now) is None


def test_what_is_over_is_dropped_and_so_is_the_oldest_of_too_many() -> None:
    cooldown = Cooldown(100)
    cooldown.put(ALERT, 0)
    cooldown.put(replace(ALERT, user_id="b"), 101)
    assert list(cooldown.resting) == ["b"]
    for number in range(MOST + 5):
        cooldown.put(replace(ALERT, user_id=f"u{number}"), 110)
    assert len(cooldown.resting) == MOST
    assert cooldown.take("b", 110) is None
    assert cooldown.take("u4", 110) is None
    assert cooldown.take("u5", 110) is not None
