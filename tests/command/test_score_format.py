"""``seqdetect score --format``: other programs' files, from the command line to alerts."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import handmade
from seqdetect.secret import Secret
from seqdetect.source.pseudonym import Pseudonyms

KEY = "a key of more than sixteen characters"


def run(
    *arguments: object, stdin: bytes | None = None, **environment: str
) -> subprocess.CompletedProcess[bytes]:
    import os

    command = [sys.executable, "-W", "error", "-m", "seqdetect.cli", "score", *map(str, arguments)]
    return subprocess.run(
        command, input=stdin, capture_output=True, timeout=120, env=os.environ | environment
    )


def usage(folder: Path) -> Path:
    """Pages of an export, one minute a bucket, in which one user asks for much in minute 5."""
    buckets = [
        {
            "object": "bucket",
            "start_time": 1_772_409_600 + 60 * minute,
            "end_time": 1_772_409_660 + 60 * minute,
            "results": [
                {"num_model_requests": 6, "input_tokens": 600, "user_id": user,
                 "output_tokens": 120_000 if user == "loud" and minute == 5 else 600}
                for user in ("calm", "loud")
            ],
        }
        for minute in range(20)
    ]  # fmt: skip
    path = folder / "usage.json"
    path.write_text(json.dumps({"object": "page", "data": buckets}, indent=1))
    return path


def test_an_export_is_scored(tmp_path: Path):
    bundle = handmade.write(tmp_path / "b.onnx")
    done = run("--bundle", bundle, "--events", usage(tmp_path), "--format", "openai_usage", "--alerts", "-")
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1] == b"events: 240 read, 0 rejected (), 0 late"
    alerts = [json.loads(line) for line in done.stdout.splitlines()]
    assert {one["user_id"] for one in alerts} == {"loud"}
    hidden = run(
        "--bundle", bundle, "--events", usage(tmp_path), "--format", "openai_usage", "--alerts", "-",
        "--hash-users-env", "USERS_KEY", USERS_KEY=KEY,
    )  # fmt: skip
    names = {json.loads(line)["user_id"] for line in hidden.stdout.splitlines()}
    assert names == {Pseudonyms(Secret(KEY)).of("loud")}


def test_lines_of_a_log_come_from_standard_input(tmp_path: Path):
    line = {
        "time": "1772409600.5",
        "user": "ada",
        "prompt_tokens": "1",
        "completion_tokens": "2",
        "status": "200",
    }
    done = run(
        "--bundle", handmade.write(tmp_path / "b.onnx"), "--events", "-", "--format", "nginx",
        stdin=json.dumps(line).encode() + b"\nnonsense\n" + json.dumps({"status": "200"}).encode() + b"\n",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1] == b"events: 2 read, 1 rejected (malformed_line=1), 0 late, 1 skipped"
    assert b"nonsense" not in done.stderr


def test_a_mistake_is_one_line(tmp_path: Path):
    bundle = handmade.write(tmp_path / "b.onnx")
    for options, what in (
        (["--format", "nginx", "--column", "model=m"], b"have their own columns"),
        (["--format", "nginx", "--user", "usr"], b"there is no usr in these records (did you mean user?)"),
        (["--user", "user"], b"name their format, too"),
        (["--hash-users-env", "NOT_SET"], b"NOT_SET is not set"),
    ):
        done = run("--bundle", bundle, "--events", usage(tmp_path), *options)
        assert done.returncode == 2
        assert what in done.stderr
        assert done.stderr.count(b"\n") == 1
