"""From what a run measured to ``results.csv``; values are medians over rounds, ratios medians of each round's own."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import page
from pinned import HERE, middle

Raw = dict[str, Any]
COLUMNS = ("measure", "value", "unit", "reference", "reference_value", "ratio", "goal", "met", "note")
Row = dict[str, str]
BLOCK = "8 MB"
RATE_A_MINUTE = 20


def row(
    measure: str,
    values: Sequence[float],
    unit: str,
    reference: tuple[str, Sequence[float]] | None = None,
    goal: tuple[str, Callable[[float, float], bool]] | None = None,
    note: str = "",
) -> Row:
    """One line; ``goal`` is its words and a test of (value, ratio); the note ends with the spread over the rounds."""
    value, ratio = middle(values), float("nan")
    if reference is not None:
        ratio = middle(a / b for a, b in zip(values, reference[1], strict=True))
    spread = (
        f"{short(min(values))} to {short(max(values))} in {len(values)} rounds" if len(values) > 1 else ""
    )
    return {
        "measure": measure,
        "value": short(value),
        "unit": unit,
        "reference": reference[0] if reference else "",
        "reference_value": short(middle(reference[1])) if reference else "",
        "ratio": short(ratio) if reference else "",
        "goal": goal[0] if goal else "",
        "met": ("yes" if goal[1](value, ratio) else "no") if goal else "",
        "note": "; ".join(part for part in (note, spread) if part),
    }


def short(value: float) -> str:
    """Three digits; large numbers in full, rounded to as many."""
    if not np.isfinite(value) or value == 0:
        return f"{value:g}"
    digits = 2 - int(np.floor(np.log10(abs(value))))
    return f"{round(value, digits):.{max(digits, 0)}f}"


def rates(found: Sequence[Raw]) -> list[float]:
    """Events per second of CPU time, by round."""
    return [one["events"] / one["cpu_s"] for one in found]


def fastest(found: Sequence[Raw], piece: str) -> tuple[str, list[float]]:
    """The decoder that is fastest over the rounds on pieces of this size, and its events per second in each."""
    by_name = {
        name: [one["events"] / one["cpu_s"][piece][name] for one in found]
        for name in found[0]["cpu_s"][piece]
    }
    name = max(by_name, key=lambda name: middle(by_name[name]))
    return f"{name}, {'the whole at once' if piece == 'all' else f'pieces of {piece}'}", by_name[name]


def streams(raw: Raw) -> Iterator[Row]:
    found = raw["streams"]
    alerts, per_s = found["alerts"], "events/s"
    _, events, size = raw["traffic"]
    yield row("events measured", [events], "events", note=f"{size / events:.0f} bytes each as JSON lines")
    yield row(
        "steps at warning or above",
        [100 * one["hot_share"] for one in alerts],
        "% of steps",
        note="even traffic",
    )
    yield row("events per step", [one["events"] / one["steps"] for one in alerts], "events")
    for piece in found["decode"][0]["cpu_s"]:
        for name in found["decode"][0]["cpu_s"][piece]:
            values = [one["events"] / one["cpu_s"][piece][name] for one in found["decode"]]
            yield row(
                f"decode only: {name}, {'the whole at once' if piece == 'all' else f'pieces of {piece}'}",
                values,
                per_s,
            )
    half = (">= 0.5 of the decoder", lambda _, ratio: ratio >= 0.5)
    jsonl = rates(found["jsonl"])
    yield row("JSON lines to event table", rates(found["parse"]), per_s, fastest(found["decode"], BLOCK))
    yield row("JSON lines to feature rows", jsonl, per_s, fastest(found["decode"], BLOCK), half)
    strict = "the decoder's result never leaves the cache, and nothing is kept"
    yield row("JSON lines to feature rows", jsonl, per_s, fastest(found["decode"], "256 KB"), half, strict)
    kept = [one["events"] / one["cpu_s"]["all"]["msgspec lines"] for one in found["decode"]]
    memory_too = "memory for all objects of the input is part of that decoder's time"
    whole = ("msgspec lines, the whole at once and kept", kept)
    yield row("JSON lines to feature rows", jsonl, per_s, whole, half, memory_too)
    yield row(
        "JSON lines to alerts", rates(alerts), per_s, goal=(">= 200,000", lambda value, _: value >= 200e3)
    )
    for name, words, least in (
        ("river25", "river HalfSpaceTrees, 25 trees as in its paper", 25),
        ("river", "river HalfSpaceTrees, its 10 trees by default", 25),
        ("pysad", "PySAD LODA", 15),
    ):
        goal = (f">= {least} times", lambda _, ratio, least=least: ratio >= least)
        yield row("JSON lines to alerts", rates(alerts), per_s, (words, rates(found[name])), goal)
    waits = "on the wall, other work on the machine included"
    yield row(
        "JSON lines to alerts", [one["events"] / one["wall_s"] for one in alerts], "events/s", note=waits
    )
    for name, words in (("parquet", "Parquet"), ("arrow", "Arrow")):
        goal = (">= 2,000,000", lambda value, _: value >= 2e6)
        yield row(f"{words} to feature rows", rates(found[name]), per_s, goal=goal)
    even = ("the even case", rates(alerts))
    goal = (">= 0.8 of the even case", lambda _, ratio: ratio >= 0.8)
    yield row("one user floods with 95 %", rates(found["flood"]), per_s, even, goal)
    yield row(
        "start of the command", [one["start_cpu_s"] for one in alerts], "s", note="with the head's events"
    )


def graphs(raw: Raw) -> Iterator[Row]:
    found, unit = raw["graphs"], "user-steps/s"
    times = [one["seconds"] for one in found["champion"]]
    for name in times[0]:
        if not name.startswith("step "):
            continue
        batch = int(name.split()[1])
        values, bare = [batch / one[name] for one in times], [batch / one[f"bare {batch}"] for one in times]
        goal = (">= 250,000", lambda value, _: value >= 250e3) if batch >= 256 else None
        yield row(f"champion's step, batch {batch}", values, unit, ("bare LSTM step, 64 units", bare), goal)
    young, old = ([256 / one[name] for one in times] for name in ("young", "old"))
    same = ("within 0.05 of equal", lambda _, ratio: abs(ratio - 1) <= 0.05)
    yield row("champion's step after 5,000 steps, batch 256", old, unit, ("after 100 steps", young), same)
    batch = found["windows"][0]["batch"]
    champion = [batch / one["seconds"]["champion"] for one in found["windows"]]
    for name in found["windows"][0]["seconds"]:
        if name.startswith("window "):
            values = [batch / one["seconds"][name] for one in found["windows"]]
            note = f"{found['windows'][0]['state_bytes'][name]} bytes of state a user"
            yield row(
                f"LSTM autoencoder, {name}, batch {batch}", values, unit, ("champion", champion), None, note
            )
    for batch_name in found["products"][0]["batches"]:
        cases = [one["batches"][batch_name] for one in found["products"]]
        values = [one["flop"] / one["lstm_s"] / 1e9 for one in cases]
        bare = [one["flop"] / one["products_s"] / 1e9 for one in cases]
        reference = ("matrix products of the same shapes", bare)
        goal = (">= 0.8 of the products", lambda _, ratio: ratio >= 0.8) if int(batch_name) >= 16 else None
        note = f"{short(middle(int(batch_name) / one['lstm_s'] for one in cases))} windows/s"
        yield row(f"windowed LSTM, batch {batch_name}", values, "GFLOP/s", reference, goal, note)
        both = [one["flop"] / (one["products_s"] + one["gates_s"]) / 1e9 for one in cases]
        reference = ("products, then sigmoids and tanhs", both)
        yield row(f"windowed LSTM, batch {batch_name}", values, "GFLOP/s", reference)
    yield row("matrix product of 1024 x 1024", [one["large_gflops"] for one in found["products"]], "GFLOP/s")
    yield row("memory read and written by a copy", [one["copy_gb_s"] for one in found["products"]], "GB/s")


def memory(raw: Raw) -> Iterator[Row]:
    free, bound = raw["memory"]["free"], raw["memory"]["bound"]
    few, many = sorted(map(int, free[0]["resident"]))[1:]

    def resident(one: Raw, users: int, what: str = "now") -> float:
        return float(one["resident"][str(users)][what])

    state = [float(one["state_bytes"]) for one in raw["graphs"]["champion"]]
    yield row("state per user", state, "bytes", goal=("<= 2,000", lambda value, _: value <= 2000))
    slope = [(resident(one, many) - resident(one, few)) / (many - few) for one in free]
    note = f"between {few:,} and {many:,} users"
    yield row(
        "resident per user", slope, "bytes", goal=("<= 3,000", lambda value, _: value <= 3000), note=note
    )
    peak = [resident(one, many, "peak") / 1e9 for one in free]
    yield row(f"peak with {many:,} users", peak, "GB", goal=("<= 3", lambda value, _: value <= 3))
    kept = [float(one["stats"]["users"]) for one in bound]
    words = f"users kept of {many:,} under a bound of {few:,}"
    note = f"{short(middle(float(one['stats']['evicted']) for one in bound))} evicted; those with open ticks stay"
    yield row(words, kept, "users", note=note)
    under = [resident(one, many) / 1e9 for one in bound]
    yield row(
        "resident after them", under, "GB", ("without a bound", [resident(one, many) / 1e9 for one in free])
    )


def live(raw: Raw) -> Iterator[Row]:
    for way, one in raw["live"].items():
        words = {"serve": "seqdetect serve, HTTP", "score": "seqdetect score, pipe"}[way]
        note = f"{one['alerts']} alerts, {one['users']:,} users, load of the machine {one['load']:.1f}"
        for name, most in (("p50", 1), ("p99", 5)):
            goal = (f"< {most}", lambda value, _, most=most: value < most)
            yield row(
                f"tick's end and lateness to alert, {name}, {words}",
                [one[f"{name}_s"]],
                "s",
                None,
                goal,
                note,
            )
        sent = one["sent"] / one["seconds"]
        note = f"the scorer was busy for {100 * one['busy']:.0f} % of the time"
        yield row(f"offered to {words}", [sent], "events/s", note=note)
        queue = (
            f"at most {one['queue']:,.0f} events in its queue, {one['refused']} bodies refused"
            if way == "serve"
            else "no queue but the pipe's 64 KB"
        )
        note = f"p99 {short(one['lag_p99_s'])} s; {queue}"
        yield row(f"sender behind its schedule, at most, {words}", [one["lag_s"]], "s", note=note)


def density(raw: Raw) -> Iterator[Row]:
    found = raw["density"]
    parse = middle(one["cpu_s"] / one["events"] for one in raw["streams"]["parse"])
    for name, cases in found.items():
        users, rate = map(int, name.split())
        one = cases[0]
        note = (
            f"{one['steps'] / one['ticks']:,.0f} steps and {one['events'] / one['ticks']:,.0f} events a tick; "
            f"{short(1e3 * middle(c['cpu_s'] / c['ticks'] for c in cases))} ms a tick; "
            f"{short(1 / (1 / middle(rates(cases)) + parse))} events/s with JSON lines"
        )
        offered = users * rate / 60
        reference = (f"offered by {users:,} users at {rate} a minute", [offered] * len(cases))
        yield row(
            f"Arrow to alerts, {users:,} users at {rate} a minute",
            rates(cases),
            "events/s",
            reference,
            None,
            note,
        )
    held = 1 / (middle(c["cpu_s"] / c["events"] for c in found[f"100000 {RATE_A_MINUTE}"]) + parse)
    goal = (f">= {RATE_A_MINUTE}", lambda value, _: value >= RATE_A_MINUTE)
    note = f"{short(held)} events/s of JSON lines"
    yield row(
        "what 100,000 active users may send on one core",
        [60 * held / 1e5],
        "requests/min each",
        None,
        goal,
        note,
    )


def write(raw: Raw) -> None:
    """Write ``results.csv``, the picture and the report's blocks, and print the table."""
    rows = [line for part in (streams, graphs, memory, live, density) for line in part(raw)]
    with (HERE / "results.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    page.write(raw, rows)
    for line in rows:
        print("  ".join(value for name, value in line.items() if value and name != "note"))
