"""Training that leaves the process as it found it, and gives the same weights for the same seed."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def undisturbed() -> Iterator[None]:
    """Some libraries seed the whole process, hashing of strings included: put everything back as it was.

    One thread meanwhile: matrices this small only wait for each other, and the sums keep their order.
    """
    plain, hashing, threads = random.getstate(), os.environ.get("PYTHONHASHSEED"), torch.get_num_threads()
    legacy = np.random.get_state()  # noqa: NPY002
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        torch.set_num_threads(threads)
        random.setstate(plain)
        np.random.set_state(legacy)  # noqa: NPY002
        os.environ.pop("PYTHONHASHSEED", None)
        if hashing is not None:
            os.environ["PYTHONHASHSEED"] = hashing
