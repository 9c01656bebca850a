"""One measure, one fresh process, one core: how every number here is taken."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
TREE = HERE.parents[1] / "out" / "throughput" / "tree"
"""The commit that is measured, taken out of the repository: what is being edited must not change in mid-run."""
THREADS = ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "POLARS_MAX", "NUMBA", "VECLIB_MAXIMUM")
TOLD = ("OPENBLAS_CORETYPE", "NVPL_BLAS_DEBUG_CPU_TYPE")
"""Settings that hold libraries to the instructions of another processor; no figure should rest on them."""


@dataclass(frozen=True)
class Spent:
    """What a finished process took."""

    cpu_s: float
    wall_s: float
    said: list[str]
    """The lines of its errors and of its output."""

    @property
    def data(self) -> dict[str, Any]:
        """The JSON document that a measuring script ends with."""
        found: dict[str, Any] = json.loads(self.said[-1])
        return found


def environment() -> dict[str, str]:
    """The environment of a measure: one thread in every library, and the code of one commit."""
    kept = {name: value for name, value in os.environ.items() if name not in TOLD}
    return (
        kept
        | {"PYTHONPATH": str(TREE / "src")}
        | {f"{name}_NUM_THREADS": "1" for name in THREADS}
        | {"POLARS_MAX_THREADS": "1"}
    )


class Core:
    """Runs measures on core ``number``, and what feeds them on any other; ``first``, before all other work there."""

    def __init__(self, number: int, first: bool = False) -> None:
        self.number = number
        self.others = sorted(os.sched_getaffinity(0) - {number}) or [number]
        self.first = ahead() if first else []
        self.words = [*self.first, "taskset", "-c", str(number)]

    def script(self, name: str, *arguments: object, python: Path | str = sys.executable) -> dict[str, Any]:
        """What ``name`` (a script beside this one) says when run alone on the core."""
        return self.run([python, HERE / f"{name}.py", *arguments]).data

    def run(self, command: Sequence[object], stdin: Path | None = None) -> Spent:
        """Run ``command`` on the core, fed with the bytes of ``stdin`` through a pipe from another core.

        Raises ``RuntimeError`` with its last words if it fails.
        """
        words = [*self.words, *map(str, command)]
        feeder = None if stdin is None else self._feed(stdin)
        pipe = subprocess.DEVNULL if feeder is None else feeder.stdout
        before = _children()
        begun = os.times().elapsed
        process = subprocess.Popen(
            words, stdin=pipe, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(), text=True
        )
        if feeder is not None and feeder.stdout is not None:
            feeder.stdout.close()
        out, errors = process.communicate()
        wall, cpu = os.times().elapsed - begun, _children() - before
        if feeder is not None:
            feeder.wait()
        if process.returncode:
            raise RuntimeError(f"{' '.join(words)} failed: {errors[-2000:]}")
        return Spent(cpu, wall, [*errors.splitlines(), *out.splitlines()])

    def _feed(self, path: Path) -> subprocess.Popen[str]:
        words = [*self.first, "taskset", "-c", ",".join(map(str, self.others)), "cat", str(path)]
        return subprocess.Popen(words, stdout=subprocess.PIPE, text=True)


def _children() -> float:
    """CPU seconds of all children waited for so far; a feeder is waited for after the process it feeds."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def ahead() -> list[str]:
    """Words that start a command before all of a shared machine's other work; none where that is not allowed."""
    words = ["chrt", "-r", "1"]
    return [] if subprocess.run([*words, "true"], capture_output=True, check=False).stderr else words


def say(**found: object) -> None:
    """How a measuring script ends."""
    print(json.dumps(found))


def middle(values: Iterable[float]) -> float:
    """The median."""
    ordered = sorted(values)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2
