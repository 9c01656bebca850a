"""Runs a step function: gather the state rows at hand, one graph call, scatter them back."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

Outputs = dict[str, NDArray[np.float32]]


class Stepper:
    """Holds the state matrix ``[users, S]`` and never interprets a column of it."""

    def __init__(self, session: ort.InferenceSession, initial: NDArray[np.float32], reserve: int = 0) -> None:
        """Room for ``reserve`` users is set apart at once, which costs memory only as rows come to be used."""
        self.session = session
        self.initial = initial
        self.state: NDArray[np.float32] = np.empty((reserve, len(initial)), np.float32)
        self.users = 0
        """Rows in use; those behind hold nothing."""
        self._inputs = {node.name for node in session.get_inputs()}
        self._outputs = [node.name for node in session.get_outputs()]

    def grow(self, users: int) -> None:
        """Let there be ``users`` users; new rows start as ``initial``."""
        if users <= self.users:
            return
        if users > len(self.state):
            state = np.empty((max(users, 2 * len(self.state), 64), len(self.initial)), np.float32)
            state[: self.users] = self.state[: self.users]
            self.state = state
        self.state[self.users : users] = self.initial
        self.users = users

    def forget(self, users: NDArray[np.int64]) -> None:
        """``users`` start anew."""
        self.state[users] = self.initial

    def restore(self, state: NDArray[np.float32]) -> None:
        """Take up a copy of the state rows ``[users, S]``; for one that has no users yet."""
        self.grow(len(state))
        self.state[: len(state)] = state

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
