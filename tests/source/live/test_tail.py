"""A growing file: parts of lines, rotation, truncation, restarts at any moment."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from senders import Keeper, event, ids, jsonl

from seqdetect.events import Tally
from seqdetect.source.live.tail import Tail


class Follower:
    """Follows a file, and remembers the position of the last batch."""

    def __init__(self, path: Path, position: Any = None, **options: Any) -> None:
        self.tally = Tally()
        self.position = position
        self.source = Tail(path, self.tally, **options)
        self.source.start(Keeper(position))

    def poll(self) -> list[str]:
        """The ids of all that can be read now."""
        found: list[str] = []
        while (batch := self.source.poll(0.0)) is not None:
            found += ids(batch.table) if "event_id" in batch.table.column_names else []
            self.position = json.loads(json.dumps(batch.position))
        return found

    def restarted(self, **options: Any) -> Follower:
        self.source.close()
        return Follower(self.source._path, self.position, **options)


def add(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def rotate(path: Path) -> None:
    """As logrotate does: PATH.1 becomes PATH.2, PATH becomes PATH.1."""
    older = sorted(path.parent.glob(f"{path.name}.*"), key=lambda one: -int(one.suffix[1:]))
    for one in older:
        one.rename(path.with_name(f"{path.name}.{int(one.suffix[1:]) + 1}"))
    path.rename(path.with_name(f"{path.name}.1"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.jsonl"


def test_a_file_that_is_not_there_yet_and_grows(path: Path) -> None:
    follower = Follower(path)
    assert follower.source.poll(0.02) is None
    add(path, jsonl(event(0), event(1)))
    assert follower.poll() == ["e0", "e1"]
    whole = jsonl(event(2))
    add(path, whole[:20])
    assert follower.poll() == []
    add(path, whole[20:] + jsonl(event(3)))
    assert follower.poll() == ["e2", "e3"]
    assert (follower.position["line"], follower.position["offset"]) == (4, path.stat().st_size)
    assert (follower.tally.read, follower.source.stats(), follower.source.ended) == (4, {"gaps": 0}, False)


def test_where_to_begin(path: Path) -> None:
    whole = jsonl(event(1))
    add(path, jsonl(event(0)) + whole[:-5])
    from_end = Follower(path, begin="end")
    add(path, whole[-5:])
    assert from_end.poll() == ["e1"]
    assert Follower(path).poll() == ["e0", "e1"]
    with pytest.raises(ValueError, match="middle"):
        Tail(path, Tally(), begin="middle")  # type: ignore[arg-type]


def test_bad_lines_are_named_by_their_number(path: Path) -> None:
    add(path, b"\xef\xbb\xbf" + jsonl(event(0)))
    follower = Follower(path)
    follower.poll()
    add(path, jsonl(event(1)) + b"nonsense\n\0\n" + b"y" * 1_500_000)
    assert follower.poll() == ["e1"]
    add(path, b"y" * 3_000_000)
    assert follower.poll() == []
    add(path, b"\n" + jsonl(event(2, prompt_tokens=-1), event(3)))
    assert follower.poll() == ["e3"]
    assert follower.tally.rejected == {"malformed_line": 3, "negative_tokens": 1}
    assert follower.tally.read == 7
    where = [one.removeprefix(f"{path} ").split(":")[0] for one in follower.tally.examples]
    assert where == ["line 3", "line 4", "line 5", "line 6 field prompt_tokens"]


def test_a_restart_in_a_line_that_is_too_long_counts_it_once(path: Path) -> None:
    add(path, jsonl(event(0)) + b"y" * 3_000_000)
    follower = Follower(path)
    assert follower.poll() == ["e0"]
    follower = follower.restarted()
    assert follower.poll() == []
    add(path, b"y\n" + jsonl(event(1)))
    assert follower.poll() == ["e1"]
    assert follower.tally.rejected == {"malformed_line": 1}


def test_rotation_loses_nothing(path: Path) -> None:
    add(path, jsonl(event(0)))
    follower = Follower(path)
    assert follower.poll() == ["e0"]
    rotate(path)
    old = path.with_name("events.jsonl.1")
    add(old, jsonl(event(1)))
    assert follower.poll() == ["e1"]
    path.touch()
    add(old, jsonl(event(2)))  # the writer has not changed over yet
    assert follower.poll() == ["e2"]
    add(old, jsonl(event(3)).rstrip())
    add(path, jsonl(event(4)))
    assert follower.poll() == ["e3", "e4"]
    assert follower.source.gaps == 0


def test_several_rotations_between_two_polls(path: Path) -> None:
    add(path, jsonl(event(0)))
    follower = Follower(path)
    assert follower.poll() == ["e0"]
    for number in range(1, 5):
        rotate(path)
        add(path, jsonl(event(number)))
    assert follower.poll() == ["e1", "e2", "e3", "e4"]


def test_rotation_while_nobody_read(path: Path) -> None:
    add(path, jsonl(event(0)))
    follower = Follower(path)
    assert follower.poll() == ["e0"]
    follower.source.close()
    add(path, jsonl(event(1)))
    for number in range(2, 4):
        rotate(path)
        add(path, jsonl(event(number)))
    follower = follower.restarted()
    assert follower.poll() == ["e1", "e2", "e3"]
    assert follower.source.gaps == 0
    assert follower.restarted().poll() == []


def test_an_old_file_that_is_gone_is_a_gap(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    add(path, jsonl(event(0)))
    follower = Follower(path)
    assert follower.poll() == ["e0"]
    keep = os.open(path, os.O_RDONLY)  # so that its inode is not used again
    path.unlink()
    add(path, jsonl(event(1), event(2)))
    with caplog.at_level(logging.WARNING):
        follower = follower.restarted()
    os.close(keep)
    assert follower.source.gaps == 1
    assert "is gone" in caplog.text
    assert follower.poll() == ["e1", "e2"]


def test_an_inode_used_again_is_not_the_old_file(path: Path) -> None:
    add(path, jsonl(event(0)))
    follower = Follower(path)
    assert follower.poll() == ["e0"]
    follower.source.close()
    path.write_bytes(jsonl(event(7), event(8), event(9)))  # the same inode, and longer
    follower = follower.restarted()
    assert follower.poll() == ["e7", "e8", "e9"]
    assert follower.source.gaps == 1


@pytest.mark.parametrize("after", [[7], [7, 8, 9]])
def test_truncation(path: Path, after: list[int]) -> None:
    add(path, jsonl(event(0), event(1)))
    follower = Follower(path)
    assert follower.poll() == ["e0", "e1"]
    path.write_bytes(b"")
    path.write_bytes(jsonl(*(event(n) for n in after)))
    assert follower.poll() == [f"e{n}" for n in after]
    assert follower.source.gaps == 1
    assert follower.position["line"] == len(after)


def test_it_waits_no_longer_than_asked(path: Path) -> None:
    follower = Follower(path)
    assert follower.source.poll(0.0) is None
    follower.source.close()
    assert follower.source.ended
    assert follower.source.poll(30.0) is None


@pytest.mark.parametrize(
    "position",
    [
        7,
        {},
        {"inode": 1, "offset": -1, "line": 0, "head": [0, 0]},
        {"inode": 1, "offset": 0, "line": 0, "head": 3},
    ],
)
def test_a_position_of_something_else_is_refused(path: Path, position: Any) -> None:
    with pytest.raises(ValueError, match="not a position"):
        Follower(path, position)


def test_a_folder_cannot_be_followed(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not a file"):
        Follower(tmp_path)


STEPS = st.lists(st.sampled_from(["line", "part", "rotate", "poll", "restart"]), max_size=30)


@settings(deadline=None, max_examples=60)
@given(steps=STEPS)
def test_every_line_is_read_once_whatever_happens(
    steps: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("tail") / "events.jsonl"
    follower = Follower(path)
    found: list[str] = []
    number, rest = 0, b""
    for step in [*steps, "line", "poll"]:
        if step in ("line", "part") and not rest:
            whole = jsonl(event(number))
            number += 1
            cut = len(whole) if step == "line" else 17
            add(path, whole[:cut])
            rest = whole[cut:]
        elif step in ("line", "part"):
            add(path, rest)
            rest = b""
        elif step == "rotate" and path.exists() and not rest:
            rotate(path)
        elif step == "poll":
            found += follower.poll()
        elif step == "restart":
            follower = follower.restarted()
    if rest:
        add(path, rest)
    found += follower.poll()
    follower.source.close()
    begun = int(found[0][1:])
    assert found == [f"e{n}" for n in range(begun, number)]
    # A run without a position begins in the file of that time, not in older ones.
    assert begun == 0 or "restart" in steps
