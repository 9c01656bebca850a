"""Memory as a file: what a killed process left aside goes away."""

from __future__ import annotations

import fcntl
import hashlib
import json

import numpy as np
import pytest

from seqdetect.score import checkpoint


def test_what_a_killed_process_left_aside_is_removed_and_what_is_being_written_is_not(tmp_path):
    path = tmp_path / "memory[1].ckpt"
    left, written = tmp_path / "memory[1].ckpt.7.part", tmp_path / "memory[1].ckpt.8.part"
    left.write_bytes(b"half")
    with open(written, "wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        checkpoint.write(path, {"a": 1}, {"x": np.arange(3)})
    assert sorted(one.name for one in tmp_path.iterdir()) == [path.name, written.name]
    document, arrays = checkpoint.read(path)
    assert document == {"a": 1}
    assert arrays["x"].tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    "head",
    [
        {},
        [],
        {"document": 1, "arrays": [["x", ",", [1]]]},
        {"document": 1, "arrays": [["x", "<i8", [2**70]]]},
        {"document": 1, "arrays": [["x", "O", [1]]]},
        {"document": 1, "arrays": 7},
    ],
)
def test_a_whole_file_of_another_shape_is_refused(tmp_path, head):
    body = checkpoint.MAGIC + json.dumps(head).encode() + b"\n" + b"\0" * 8
    (tmp_path / "c").write_bytes(body + hashlib.sha256(body).digest())
    with pytest.raises(ValueError, match=r"holds something else|damaged|array is too big|Maximum"):
        checkpoint.read(tmp_path / "c")


def test_what_cannot_be_taken_up_is_refused(tmp_path):
    checkpoint.write(tmp_path / "c", {"a": 1}, {})
    with pytest.raises(ValueError, match="c holds something else than this version writes: KeyError"):
        checkpoint.latest(tmp_path / "c", lambda document, _: document["b"])


def test_version_2_is_read_and_version_1_refused(tmp_path):
    checkpoint.write(tmp_path / "c", {"a": 1}, {"x": np.arange(3)})
    whole = (tmp_path / "c").read_bytes()[: -hashlib.sha256().digest_size]
    for version in (1, 2):
        body = whole.replace(b"checkpoint 3\n", b"checkpoint %d\n" % version, 1)
        (tmp_path / f"{version}").write_bytes(body + hashlib.sha256(body).digest())
    assert checkpoint.read(tmp_path / "2")[0] == {"a": 1}
    with pytest.raises(ValueError, match="not a seqdetect checkpoint of version 2 or 3"):
        checkpoint.read(tmp_path / "1")
