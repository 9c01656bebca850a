"""Memory as a file: what a killed process left aside goes away."""

from __future__ import annotations

import fcntl

import numpy as np

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
