"""A change is known again by its content, in whatever order it is written."""

from __future__ import annotations

from changes import change
from seqdetect.sink.identity import key


def test_the_same_change_has_the_same_key_and_every_other_has_another():
    one = change("open")
    assert key(one) == key(dict(reversed(one.items())))
    assert key(one).startswith(one["alert_id"])
    others = [
        change("update"),
        change("resolve"),
        change("open", at="2026-03-02T10:00:30Z"),
        change("open", score=5.3),
    ]
    assert len({key(other) for other in [one, *others]}) == 5
