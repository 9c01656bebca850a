"""The scorer as it is deployed and as training runs it: events in; scores, alerts and a checkpoint out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import pyarrow as pa

from seqdetect.alert.lifecycle import AlertBook
from seqdetect.score.engine import Engine, Scored
from seqdetect.sink import Sink


def score_stream(
    engine: Engine,
    batches: Iterable[pa.Table],
    book: AlertBook,
    sinks: Sequence[Sink],
    write: Callable[[Scored], None],
    progress: Callable[[int], None] = lambda events: None,
) -> None:
    """Push every batch, then complete what is open. ``write`` gets each batch of scored steps, ``sinks`` the
    changes of alerts, ``progress`` the number of events taken in so far."""

    def hand_on(scored: Scored) -> None:
        write(scored)
        changes = book.push(scored, engine.stream.clock.closed)
        if changes:
            for sink in sinks:
                sink.send(changes)

    taken = 0
    for batch in batches:
        hand_on(engine.push(batch))
        taken += batch.num_rows
        progress(taken)
    hand_on(engine.flush())
