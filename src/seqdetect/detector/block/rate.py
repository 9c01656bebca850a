"""How many requests an hour a user sends over the long run, silence included."""

from __future__ import annotations

from typing import Final

from seqdetect.detector.block.decay import lost
from seqdetect.detector.graph import Graph, Value

MEMORY_S: Final = 2 * 86_400.0
START_S: Final = 600.0
"""A new user counts as seen for this long, with one request."""
HEARD: Final = (10.0, 60.0)
"""A step's requests are heard up to the first number plus what the usual rate gives in so many seconds."""


def usual_rate(graph: Graph, name: str, requests: Value, elapsed: Value) -> tuple[Value, Value]:
    """Logarithms ``[n, 1]`` of the usual requests per hour before the step, and of the seconds it is known from."""
    seen = graph.state(f"{name}_seen", [START_S])
    count = graph.state(f"{name}_count", [1.0])
    fade = lost(elapsed, MEMORY_S)
    known = seen - seen * fade + fade * MEMORY_S
    per_second = count / seen
    heard = requests.clip(high=per_second * HEARD[1] + HEARD[0])
    graph.update(f"{name}_seen", known)
    graph.update(f"{name}_count", count - count * fade + heard)
    logs = graph.concat(per_second * 3600.0 + 0.1, known).log(2)
    return logs.columns(0, 1), logs.columns(1, 2)
