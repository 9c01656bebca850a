"""A week of everything that happens, through the real service: does it hold?

    python experiments/chaos-week/run.py [--users 60] [--seeds 0 1 2] [--windows 10] [--work DIR]

For each seed a model is trained and calibrated on five days; then the service, warm from training's checkpoint, gets the
seven days after them over HTTP as ``chaos.py`` disturbs them: at full speed, but at their own pace around the first
alerts of blatant attacks, where the wall clock measures how long an alert takes. Meanwhile the service is killed twice
and the far side of its webhook is down twice. ``results.csv`` and ``week.png`` lie beside this file afterwards.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import plot
from chaos import Arrivals, disturbed, reference
from feed import Feed
from measure import (
    Closing,
    Hot,
    Spell,
    Ticks,
    Tipping,
    attacks,
    false_episodes,
    first_alert,
    hits,
    last_states,
    spells,
)
from service import FarSide, Service
from week import WEEK_DAYS, Week, week, write

from seqdetect.alert.prices import Price, Prices
from seqdetect.bundle.load import load
from seqdetect.events import MICROSECONDS, Tally, chunks, iso
from seqdetect.score.engine import LEVELS, Scored
from seqdetect.scorer import Model, Scorer

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
DAY_US = 86_400 * MICROSECONDS
BEFORE_S, AFTER_S = 40, 45
"""Played at its own pace around an alert."""


@dataclass
class Ran:
    """One seed's week: what happened, and what the service made of it."""

    made: Week
    arrivals: Arrivals
    undisturbed: list[dict[str, Any]]
    hot: dict[str, Hot]
    changes: list[dict[str, Any]]
    far: list[tuple[float, dict[str, Any]]]
    feed: Feed
    figures: dict[str, float]
    refused: int
    starts: int
    status: int
    seconds: float


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--users", type=int, default=60)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--windows", type=int, default=10, help="stretches played at their own pace")
    parser.add_argument(
        "--work", type=Path, help="folder for histories and models, kept (default: a temporary one)"
    )
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as temporary:
        work = options.work or Path(temporary)
        for seed in options.seeds:
            ran = play(options.users, seed, options.windows, work / str(seed), Path(temporary) / f"run{seed}")
            rows += [{"seed": seed, "measure": name, "value": value} for name, value in measured(ran).items()]
            rows += [
                {"seed": seed, "measure": name, "value": value} for name, value in by_strength(ran).items()
            ]
            if seed == options.seeds[0]:
                plot.draw(ran.made, ran.changes, HERE / "week.png")
            for row in rows:
                if row["seed"] == seed:
                    print(f"{seed}  {row['measure']}: {row['value']}")
    with open(HERE / "results.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, ["seed", "measure", "value"], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def play(users: int, seed: int, windows: int, folder: Path, scratch: Path) -> Ran:
    """Train where ``folder`` holds no model yet, then live through the week."""
    made = week(users, seed)
    model = folder / "model"
    if not (model / "bundle.onnx").exists():
        write(made, folder)
        train(made, folder, seed)
    arrivals = disturbed(made.week, np.random.default_rng([seed, 9]))
    undisturbed, hot = scored(model, arrivals)
    far = FarSide()
    service = Service(scratch, model / "bundle.onnx", model / "state.ckpt", far)
    feed = Feed(service, live_windows(made, undisturbed, windows), troubles(made, service, far, seed))
    began = time.monotonic()
    feed.run(arrivals, shown(arrivals.table.num_rows, seed))
    service.idle()
    figures = service.figures()
    status = service.stop()
    seconds = time.monotonic() - began
    changes = lines(service.alerts)
    far.close()
    return Ran(
        made,
        arrivals,
        undisturbed,
        hot,
        changes,
        far.taken,
        feed,
        figures,
        far.refused,
        service.starts,
        status,
        seconds,
    )


def train(made: Week, folder: Path, seed: int) -> None:
    words = [
        sys.executable, "train.py", "source=files", f"source.events={folder / 'history.parquet'}",
        f"source.incidents={folder / 'incidents.csv'}", f"split.train_end={iso(made.train_end)}",
        f"split.calibration_end={iso(made.calibration_end)}", "exposure.copies=4", f"seed={seed}",
        f"out={folder / 'model'}",
    ]  # fmt: skip
    subprocess.run(words, cwd=ROOT, check=True)


def scored(model: Path, arrivals: Arrivals) -> tuple[list[dict[str, Any]], dict[str, Hot]]:
    """The changes of alerts that the same model would cause had nothing been disturbed, and the steps at each level."""
    hot: dict[str, Hot] = {level: set() for level in LEVELS[1:]}

    def note(name: str, steps: Scored) -> None:
        for row in steps.causes:
            for level in LEVELS[1 : steps.level[row] + 1]:
                hot[level].add((steps.names[steps.user[row]], int(steps.tick[row])))

    one = Model("champion", load(model / "bundle.onnx"), prices=Prices(Price(2.5, 10.0)))
    scorer = Scorer([one], Tally(), write=note)
    scorer.load(model / "state.ckpt")
    changes = []
    for batch in chunks(reference(arrivals.clean)):
        changes += scorer.push(batch)
    return changes, hot


def live_windows(made: Week, changes: list[dict[str, Any]], most: int) -> list[tuple[int, int]]:
    """Around the first alerts of blatant attacks, as many as asked for, spread over the week."""
    found = spells(changes, made.begin + WEEK_DAYS * DAY_US)
    blatant = attacks(made.labels)
    blatant = blatant[blatant["strength"] == "blatant"]
    first = [first_alert(found, row.user_id, row.start, row.end) for row in blatant.itertuples()]
    known = sorted({spell.known for spell in first if spell is not None})
    apart = [
        t for i, t in enumerate(known) if i == 0 or t - known[i - 1] > (BEFORE_S + AFTER_S) * MICROSECONDS
    ]
    places = (
        np.unique(np.linspace(0, len(apart) - 1, min(most, len(apart))).round().astype(int)) if apart else []
    )
    return [(apart[i] - BEFORE_S * MICROSECONDS, apart[i] + AFTER_S * MICROSECONDS) for i in places]


def troubles(made: Week, service: Service, far: FarSide, seed: int) -> list[tuple[int, Callable[[], None]]]:
    """Two kills of the service, and two stretches of six hours in which the far side is down."""
    rng = np.random.default_rng([seed, 10])
    days = [
        made.begin + round(day * DAY_US) for day in rng.uniform((0.5, 2.0, 3.5, 5.0), (1.5, 3.0, 4.5, 6.0))
    ]

    def killed() -> None:
        """Strikes while events go on being posted."""

        def strike() -> None:
            service.kill()
            service.begin()

        threading.Timer(float(rng.uniform(0.1, 1.0)), strike).start()

    def down(now: bool) -> Callable[[], None]:
        def turn() -> None:
            service.idle()  # what was posted before belongs to the time before
            far.down = now

        return turn

    found: list[tuple[int, Callable[[], None]]] = [(days[0], killed), (days[2], killed)]
    for start in (days[1], days[3]):
        found += [(start, down(True)), (start + DAY_US // 4, down(False))]
    return found


def measured(ran: Ran) -> dict[str, float | int | str]:
    """The week's figures by name."""
    end = ran.made.begin + WEEK_DAYS * DAY_US
    found = spells(ran.changes, end)
    own = [spell for spell in found if spell.user != "*"]
    ticks = Ticks.of(ran.arrivals.clean, ran.made.labels)
    false, clean = ticks.false_share(own)
    grave, _ = ticks.false_share([spell for spell in own if spell.critical])
    weeks = len(ticks.by_user) * WEEK_DAYS / 7
    critical = [spell for spell in own if spell.critical]
    delays, walls = waited(ran, found)
    alike = last_states(ran.undisturbed)
    there = last_states(ran.changes)
    sent = last_states([change for _, change in ran.far])
    read = ran.figures.get("seqdetect_events_read_total", 0.0)
    return {
        "users": len(ticks.by_user),
        "events posted": ran.arrivals.table.num_rows,
        **{f"events {what}": count for what, count in ran.arrivals.told.items()},
        "events late at the end of the week": int(ran.figures.get("seqdetect_events_late_total", 0)),
        "seconds": round(ran.seconds, 1),
        "starts of the service": ran.starts,
        "posts": ran.feed.posts,
        "posts without an answer": ran.feed.unanswered,
        "exit status": ran.status,
        "events read since the last start": int(read),
        "clean user-ticks": clean,
        **{
            f"clean user-ticks scored at {level} or above, %": round(100 * ticks.clean(steps) / clean, 3)
            for level, steps in ran.hot.items()
        },
        "false share of user-ticks in critical alerts, %": round(100 * grave / clean, 3),
        "false share of user-ticks in any alert, %": round(100 * false / clean, 3),
        "false critical episodes per user-week": round(false_episodes(critical, ran.made.labels) / weeks, 3),
        "false episodes per user-week": round(false_episodes(own, ran.made.labels) / weeks, 3),
        "alerts": len(found),
        "population alerts": sum(spell.user == "*" for spell in found),
        "muted alerts": sum(spell.muted for spell in found),
        "alerts of an undisturbed run": len(alike),
        "of these also found": len(alike.keys() & there.keys()),
        "alerts that only the disturbed run has": len(there.keys() - alike.keys()),
        "changes refused while the far side was down": ran.refused,
        "alerts missing at the far side": len(there.keys() - sent.keys()),
        "alerts with another last state there": sum(
            sent[key] != there[key] for key in there.keys() & sent.keys()
        ),
        **quantiles("simulated s from tip to known, blatant", delays),
        **quantiles("wall s from tip to delivered, blatant", walls),
    }


def waited(ran: Ran, found: list[Spell]) -> tuple[list[float], list[float]]:
    """Seconds from the tipping event of each blatant attack's first alert: until the scorer could know, and, where time
    ran at its own pace, until the far side had it."""
    closing, tipping = Closing(ran.arrivals), Tipping(ran.arrivals.clean)
    known, walls = [], []
    blatant = attacks(ran.made.labels)
    for row in blatant[blatant["strength"] == "blatant"].itertuples():
        spell = first_alert(found, row.user_id, row.start, row.end)
        if spell is None:
            continue
        tip = tipping.of(spell.user, spell.known)
        known.append((closing.of(spell.known) - tip) / MICROSECONDS)
        arrived = [
            at
            for at, change in ran.far
            if change["user_id"] == spell.user and change["at"] == iso(spell.known)
        ]
        for start, end, wall in ran.feed.wall:
            if start < spell.known <= end - AFTER_S // 2 * MICROSECONDS and arrived:
                walls.append(min(arrived) - (wall + (tip - start) / MICROSECONDS))
    return known, walls


def quantiles(name: str, values: list[float]) -> dict[str, float | int]:
    if not values:
        return {f"{name}, n": 0}
    return {
        f"{name}, n": len(values),
        f"{name}, median": round(float(np.median(values)), 2),
        f"{name}, largest": round(max(values), 2),
        f"{name}, within 30 s": sum(value <= 30 for value in values),
    }


def by_strength(ran: Ran) -> dict[str, str]:
    """Incident rows found of all there are, by strength; and by kind for blatant ones and confounders."""
    found = spells(ran.changes, ran.made.begin + WEEK_DAYS * DAY_US)
    rows = hits(found, ran.made.labels)
    harmful = attacks(rows)
    told = {}
    for strength, part in harmful.groupby("strength"):
        told[f"found, {strength}"] = f"{int((part['own'] | part['shared']).sum())} of {len(part)}"
    grave = attacks(hits([spell for spell in found if spell.critical], ran.made.labels))
    for strength, part in grave.groupby("strength"):
        told[f"found by critical alerts, {strength}"] = (
            f"{int((part['own'] | part['shared']).sum())} of {len(part)}"
        )
    for kind, part in harmful[harmful["strength"].isin(["blatant", "strong"])].groupby("kind"):
        told[f"found, {kind}, blatant or strong"] = shares(part)
    for kind, part in rows[rows["kind"].str.startswith("benign_")].groupby("kind"):
        told[f"alerted, {kind}"] = shares(part)
    return told


def shares(part: pd.DataFrame) -> str:
    return f"{int(part['own'].sum())} alone, {int(part['shared'].sum())} in an alert of everybody, of {len(part)}"


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def shown(total: int, seed: int) -> Callable[[int], None]:
    last = [time.monotonic()]

    def show(row: int) -> None:
        if time.monotonic() - last[0] > 10:
            last[0] = time.monotonic()
            print(f"seed {seed}: {row} of {total} events posted", file=sys.stderr, flush=True)

    return show


if __name__ == "__main__":
    main()
