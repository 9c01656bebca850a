"""Bodies of requests: bounds hold for what comes and for what it unfolds to."""

from __future__ import annotations

import gzip
import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqdetect.source.live.body import Gzip, Plain, TooLargeError, UnreadableError, lines

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(items=st.lists(JSON), indent=st.sampled_from([None, 0, 3]))
def test_an_array_becomes_one_line_per_item(items: list[object], indent: int | None) -> None:
    text, unit = lines(json.dumps(items, indent=indent).encode())
    assert unit == "item"
    assert [json.loads(line) for line in text.splitlines()] == items


@given(one=st.dictionaries(st.text(), JSON), indent=st.sampled_from([None, 0, 3]))
def test_an_object_becomes_one_line(one: dict[str, object], indent: int | None) -> None:
    text, unit = lines(b"\n " + json.dumps(one, indent=indent).encode() + b"\r\n")
    assert unit == "line"
    assert [json.loads(line) for line in text.splitlines()] == [one]


@given(body=st.binary())
def test_any_bytes_are_lines_or_refused(body: bytes) -> None:
    try:
        text, _ = lines(body)
    except UnreadableError:
        return
    assert text == b"" or text.endswith(b"\n")


@given(body=st.binary(max_size=3_000), size=st.integers(1, 100), limit=st.integers(0, 3_000))
def test_pieces_add_up_within_the_limit(body: bytes, size: int, limit: int) -> None:
    for collector, sent in ((Plain(limit), body), (Gzip(max(limit, 0)), gzip.compress(body))):
        try:
            for start in range(0, len(sent), size):
                collector.add(sent[start : start + size])
        except TooLargeError:
            assert max(len(body), len(sent)) > limit
        else:
            assert collector.whole() == body
            assert len(body) <= limit


@given(body=st.binary(max_size=200))
def test_what_is_no_gzip_is_refused(body: bytes) -> None:
    collector = Gzip(1_000)
    try:
        collector.add(body)
        unzipped = collector.whole()
    except UnreadableError:
        return
    assert gzip.decompress(body) == unzipped


def test_a_bomb_is_not_unfolded() -> None:
    bomb = gzip.compress(gzip.compress(b" " * 100_000_000))
    collector = Gzip(150_000)
    collector.add(bomb)
    assert len(collector.whole()) < 150_000
    again = Gzip(150_000)
    with pytest.raises(TooLargeError):
        again.add(gzip.decompress(bomb))


def test_depth_is_bounded() -> None:
    for body in (b"[" * 1_000_000, b"[" + b"[" * 500_000 + b"]" * 500_000 + b"]"):
        with pytest.raises(UnreadableError):
            lines(body)
    assert msgspec.json.decode(lines(b'[{"a":1}]')[0]) == {"a": 1}


def test_a_broken_item_of_an_array_leaves_its_neighbours() -> None:
    deep = '{"a": ' + '{"b": ' * 5_000 + "1" + "}" * 5_001
    for broken in ('{"user": "\\ud800"}', '{"user": NaN}', '{"a": 1} {"b": 2}', "", deep):
        text, unit = lines(f'[ {{"n": "a]\\",\\n"}}, {broken},{{"n": [1, {{"m": 2}}]}}\n]'.encode())
        first, middle, last = text.splitlines()
        assert unit == "item"
        assert (first, last) == (b'{"n": "a]\\",\\n"}', b'{"n": [1, {"m": 2}]}')
        assert middle == (broken.encode() or b"null")


@pytest.mark.parametrize(
    "body", ['[{"a": 1}, NaN', '[{"a": 1}, "b', '[{"a": 1}, NaN]]', '[{"a": 1}, NaN}', "[NaN, NaN]"]
)
def test_an_array_that_is_no_array_is_refused(body: str) -> None:
    with pytest.raises(UnreadableError):
        lines(body.encode())
