"""Traffic to measure with: ServeGen's clients, cloned with other seeds, each user at about 20 requests a minute.

    python experiments/throughput/traffic.py out/throughput

``ServeGen``'s own sampler draws every user; clones of one client share its windows and laws, and nothing else. What
ServeGen does not record (address, status, latency) is drawn here, so that the parser has the columns that a gateway
logs; a bundle trained on ServeGen never saw them and ignores them.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from seqdetect import events
from seqdetect.source.servegen import DAY_S, WINDOW_S, ServeGen

ROOT = Path(__file__).resolve().parents[2]
SERVEGEN = ROOT.parent / "shared" / "data" / "servegen"
USERS = 5_000
DAY, HOUR = 8, 9
"""The bundle's test day, at an hour when most clients are at work."""
MIDNIGHT_US = 1_736_294_400_000_000
"""2025-01-08: where that day lies in a run that starts on ServeGen's day 6, as the bundle's training did."""
RATE = 1 / 3
"""Requests a second of each user: the bound that the bundle's own training traffic was thinned to."""
WARM_S, MEASURED_S = 78 * 60, 12 * 60
HEAD_EVENTS = 100_000
"""What a run over these alone costs is taken off: start-up, and whatever is done once."""
FLOOD_SHARE = 0.95
SEED = 0


def sampled(users: int, seconds: int, seed: int) -> pa.Table:
    """``users`` users for ``seconds`` from ``HOUR`` of ``DAY`` on, in time order."""
    source = ServeGen(str(SERVEGEN), start_day=DAY, days=1, max_rate=RATE)
    windows, laws = _steady(source, seconds)
    clients = sorted(windows)
    times, prompts, completions, owner = [], [], [], []
    for number in range(users):
        client = clients[number % len(clients)]
        clone = ServeGen(str(SERVEGEN), start_day=DAY, days=1, max_rate=RATE, seed=seed + number)
        time_s, prompt, completion = clone._client(client, windows[client], laws[client])
        times.append(time_s)
        prompts.append(prompt)
        completions.append(completion)
        owner.append(np.full(time_s.size, number, np.int32))
    return _table(*(np.concatenate(part) for part in (times, prompts, completions, owner)), users, seed)


def _steady(source: ServeGen, seconds: int) -> tuple[dict[int, pd.DataFrame], dict[int, pd.DataFrame]]:
    """Windows and length laws of the clients that are active in every window and fast enough to be thinned."""
    begin = DAY * DAY_S + HOUR * 3600
    windows, lengths = source._windows(), source._lengths()
    windows = windows[(windows.window_start_s >= begin) & (windows.window_start_s < begin + seconds)]
    laws = dict(list(lengths.groupby("client")))
    found = {
        int(client): rows
        for client, rows in windows.groupby("client")
        if client in laws and len(rows) == -(-seconds // WINDOW_S) and rows.rate.mean() >= RATE
    }
    return found, {client: laws[client] for client in found}


def _table(
    time_s: np.ndarray, prompt: np.ndarray, completion: np.ndarray, owner: np.ndarray, users: int, seed: int
) -> pa.Table:
    rng = np.random.default_rng([seed, 1])
    order = np.argsort(time_s, kind="stable")
    micros = np.int64(MIDNIGHT_US) + np.rint(time_s[order] * 1e6).astype(np.int64)
    rows, owner = len(order), owner[order]
    names = [f"user-{number:05d}" for number in range(users)]
    addresses = [f"100.64.{number >> 8}.{number & 255}" for number in range(users)]
    return events.conform(
        pa.table(
            {
                "timestamp": pa.array(micros).cast(pa.timestamp("us", "UTC")),
                "user_id": pa.DictionaryArray.from_arrays(owner, names),
                "prompt_tokens": pa.array(prompt[order]),
                "completion_tokens": pa.array(completion[order]),
                "model": pa.DictionaryArray.from_arrays(np.zeros(rows, np.int32), ["m-large"]),
                "client_ip": pa.DictionaryArray.from_arrays(owner, addresses),
                "status": pa.array(np.where(rng.random(rows) < 0.01, 429, 200).astype(np.int16)),
                "latency_ms": pa.array(np.round(rng.lognormal(6.5, 0.6, rows), 1)),
            }
        )
    )


def jsonl(table: pa.Table) -> bytes:
    """The rows as JSON lines, one object each, every column."""
    parts: list[object] = []
    opener = '{"'
    for name in table.column_names:
        column = table.column(name)
        texts = column.cast(pa.string())
        if name == "timestamp":
            texts = pc.replace_substring(texts, " ", "T", max_replacements=1)
        quoted = not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type))
        quote = '"' if quoted else ""
        parts += [f'{opener}{name}":{quote}', texts]
        opener = f'{quote},"'
    whole = pc.binary_join_element_wise(*parts, opener[:-2] + "}\n", "")
    return b"".join(
        chunk.buffers()[2][chunk_begin(chunk) : chunk_end(chunk)] for chunk in whole.chunks if len(chunk)
    )


def chunk_begin(chunk: pa.Array) -> int:
    """First byte of the texts of ``chunk`` in its data."""
    return int(np.frombuffer(chunk.buffers()[1], np.int32)[chunk.offset])


def chunk_end(chunk: pa.Array) -> int:
    """One past the last byte of the texts of ``chunk`` in its data."""
    return int(np.frombuffer(chunk.buffers()[1], np.int32)[chunk.offset + len(chunk)])


def copies(table: pa.Table, count: int, seed: int = 0) -> pa.Table:
    """The same traffic ``count`` times over by as many other users, each copy turned round by a random time.

    In time order, over the same span; what reaches past its end begins again at its start.
    """
    rng = np.random.default_rng([seed, 2])
    micros = table.column("timestamp").cast(pa.int64()).to_numpy()
    begin, span = int(micros[0]), int(micros[-1] - micros[0]) + 1
    shift = np.concatenate([[0], rng.integers(0, span, count - 1)])
    time = (begin + (micros - begin + shift[:, None]) % span).ravel()
    codes, names = _codes(table)
    owner = (codes + len(names) * np.arange(count, dtype=np.int64)[:, None]).ravel()
    order = np.argsort(time, kind="stable")
    taken = table.take(pa.array(order % len(micros)))
    users = [f"{name}-{copy:03d}" for copy in range(count) for name in names]
    made = {
        "timestamp": pa.array(time[order]).cast(pa.timestamp("us", "UTC")),
        "user_id": pa.DictionaryArray.from_arrays(owner[order].astype(np.int32), users),
    }
    return events.conform(pa.table({name: made.get(name, taken.column(name)) for name in table.column_names}))


def _codes(table: pa.Table) -> tuple[np.ndarray, list[str]]:
    column = table.column("user_id").unify_dictionaries().combine_chunks()
    whole = column.chunk(0) if isinstance(column, pa.ChunkedArray) else column
    return whole.indices.to_numpy(), whole.dictionary.to_pylist()


def flooded(table: pa.Table, share: float, seed: int = 0) -> pa.Table:
    """The same events, of which a random ``share`` comes from one user."""
    codes, names = _codes(table)
    rng = np.random.default_rng([seed, 3])
    codes = np.where(rng.random(len(codes)) < share, len(names), codes).astype(np.int32)
    column = pa.DictionaryArray.from_arrays(codes, [*names, "flood"])
    place = table.column_names.index("user_id")
    return table.set_column(place, table.schema.field(place), column)


def make(folder: Path) -> None:
    """Write the files that ``run.py`` measures with, unless they are there: Parquet, JSON lines, flooded, head."""
    if (folder / "done").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    table = sampled(USERS, WARM_S + MEASURED_S, SEED)
    micros = table.column("timestamp").cast(pa.int64()).to_numpy()
    cut = int(np.searchsorted(micros, micros[0] + WARM_S * 1_000_000))
    pq.write_table(table.slice(0, cut), folder / "warm.parquet", compression="zstd")
    measured = table.slice(cut)
    pq.write_table(measured, folder / "events.parquet", compression="zstd")
    text = jsonl(measured)
    (folder / "events.jsonl").write_bytes(text)
    (folder / "head.jsonl").write_bytes(jsonl(measured.slice(0, HEAD_EVENTS)))
    flood = flooded(measured, FLOOD_SHARE)
    (folder / "flood.jsonl").write_bytes(jsonl(flood))
    (folder / "flood_head.jsonl").write_bytes(jsonl(flood.slice(0, HEAD_EVENTS)))
    (folder / "done").write_text(f"{cut} {measured.num_rows} {len(text)}\n")


if __name__ == "__main__":
    make(Path(sys.argv[1]))
