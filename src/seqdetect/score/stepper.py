"""Runs a step function: gather the state rows at hand, one graph call, scatter them back."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

Outputs = dict[str, NDArray[np.float32]]


class Stepper:
    """Holds the state matrix ``[users, S]`` and never interprets a column of it."""

    def __init__(self, session: ort.InferenceSession, initial: NDArray[np.float32]) -> None:
        self.session = session
        self.initial = initial
        self.state: NDArray[np.float32] = np.zeros((0, len(initial)), np.float32)
        self._inputs = {node.name for node in session.get_inputs()}
        self._outputs = [node.name for node in session.get_outputs()]

    def grow(self, users: int) -> None:
        """Make room for ``users`` users; new rows start as ``initial``."""
        have = len(self.state)
        if users > have:
            room = max(users, 2 * have, 64)
            state = np.empty((room, len(self.initial)), np.float32)
            state[:have] = self.state
            state[have:] = self.initial
            self.state = state

    def rows(self, users: NDArray[np.int32]) -> NDArray[np.float32]:
        """State rows ``[n, S]`` of ``users``, a copy."""
        self.grow(int(users.max()) + 1 if len(users) else 0)
        return self.state[users]

    def put(self, users: NDArray[np.int32], rows: NDArray[np.float32]) -> None:
        """Store the state rows ``[n, S]`` after a step."""
        self.state[users] = rows

    def run(
        self, features: NDArray[np.float32], population: NDArray[np.float32], state: NDArray[np.float32]
    ) -> Outputs:
        """The step function itself: outputs by name, ``state`` among them; nothing is stored."""
        feeds = {"features": features, "population": population, "state_in": state}
        values = self.session.run(self._outputs, {name: feeds[name] for name in self._inputs})
        return dict(zip(self._outputs, values, strict=True))

    def step(
        self, users: NDArray[np.int32], features: NDArray[np.float32], population: NDArray[np.float32]
    ) -> Outputs:
        """One tick of ``users`` (each at most once): run and store."""
        out = self.run(features, population, self.rows(users))
        self.put(users, out["state"])
        return out
