"""Alerts as JSON lines in a file that outlives the process."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys

import pytest

from seqdetect.sink.jsonl import JsonlAppender, JsonlSink


def changes(*numbers: int) -> list[dict[str, object]]:
    return [{"alert_id": f"{number:016x}", "change": "open", "user_id": "ü"} for number in numbers]


def read(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_new_file_is_begun_by_the_one_and_gone_on_with_by_the_other(tmp_path):
    path = tmp_path / "deep" / "alerts.jsonl"
    for kind, expected in (
        (JsonlSink, [1]),
        (JsonlAppender, [1, 1]),
        (JsonlAppender, [1, 1, 1]),
        (JsonlSink, [1]),
    ):
        sink = kind(path)
        sink.send(changes(1))
        sink.close()
        assert read(path) == changes(*expected)


@pytest.mark.parametrize("whole", [b"", b'{"a": 1}\n', b'{"a": 1}\n' + b'{"b": "' + b"x" * 200_000 + b'"}\n'])
@pytest.mark.parametrize("torn", [b"", b"{", b'{"a": 1}', b"y" * 150_000])
def test_a_torn_last_line_is_cut_off(tmp_path, whole, torn):
    path = tmp_path / "alerts.jsonl"
    path.write_bytes(whole + torn)
    sink = JsonlAppender(path)
    assert path.read_bytes() == whole
    sink.send(changes(7))
    sink.close()
    assert path.read_bytes().startswith(whole)
    assert json.loads(path.read_bytes()[len(whole) :]) == changes(7)[0]


def test_a_file_moved_away_is_begun_anew(tmp_path):
    path, old = tmp_path / "alerts.jsonl", tmp_path / "alerts.jsonl.1"
    sink = JsonlAppender(path)
    sink.send(changes(1))
    path.rename(old)
    sink.send(changes(2, 3))
    path.unlink()
    sink.send(changes(4))
    sink.close()
    assert read(old) == changes(1)
    assert read(path) == changes(4)


def test_what_could_not_be_written_leaves_nothing_behind_and_can_be_sent_again(tmp_path):
    path = tmp_path / "alerts.jsonl"
    sink = JsonlAppender(path)
    sink.send(changes(1))
    size = path.stat().st_size
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + size // 2, before[1]))
        with pytest.raises(OSError, match="File too large"):
            sink.send(changes(2))
        assert path.stat().st_size == size
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    sink.send(changes(2))
    sink.close()
    assert read(path) == changes(1, 2)


def test_standard_output_and_pipes_are_written_to_as_they_are(tmp_path):
    program = (
        "from pathlib import Path; from seqdetect.sink.jsonl import JsonlAppender; s = JsonlAppender(Path('-'));"
        "s.send([{'alert_id': 'a'}]); s.close(); print('still open')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines() == ['{"alert_id": "a"}', "still open"], done.stderr
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    sink = JsonlAppender(pipe)
    sink.send(changes(5))
    sink.close()
    assert json.loads(os.read(reader, 1000)) == changes(5)[0]
    os.close(reader)
