"""Every attack found in the folder keeps the contract of ``seqdetect.attack``."""

from __future__ import annotations

import importlib
import pkgutil
import re
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest

import seqdetect.attack as package
from seqdetect import events as ev
from seqdetect import incidents
from seqdetect.attack import STRENGTHS, Attack, Outcome, Scene, Strength
from seqdetect.attack.inject import Injector
from seqdetect.attack.strength import DAY, HOUR

SEEDS, QUICK = 500, 20
EPOCH = 1_750_032_000 * ev.MICROSECONDS
"""2025-06-16T00:00:00Z, a Monday."""
DAYS = 3


def found() -> dict[str, Attack]:
    """One of each attack in the folder, by module name."""
    attacks: dict[str, Attack] = {}
    for module in pkgutil.iter_modules(package.__path__):
        content = importlib.import_module(f"{package.__name__}.{module.name}")
        for thing in vars(content).values():
            if isinstance(thing, type) and thing.__module__ == content.__name__ and hasattr(thing, "owasp"):
                attacks[module.name] = thing()
    return attacks


ATTACKS = found()


def times(per_hour: float, hours: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Arrivals of a user that is active between two hours of each day, microseconds."""
    parts = []
    for day in range(DAYS):
        begin, end = EPOCH + day * DAY + hours[0] * HOUR, EPOCH + day * DAY + hours[1] * HOUR
        parts.append(rng.integers(begin, end, size=rng.poisson(per_hour * (hours[1] - hours[0]))))
    return np.sort(np.concatenate(parts))


def user(name: str, when: np.ndarray, optional: bool, rng: np.random.Generator) -> pd.DataFrame:
    """A user's events as an attack sees them."""
    n = len(when)
    completion = rng.lognormal(4.5, 0.8, size=n).astype(np.int64)
    columns: dict[str, Any] = {
        "timestamp": when,
        "user_id": [name] * n,
        "prompt_tokens": rng.lognormal(6.0, 0.8, size=n).astype(np.int64),
        "completion_tokens": completion,
    }
    if optional:
        columns |= {
            "model": rng.choice(["large", "small"], size=n).tolist(),
            "client_ip": [f"10.1.{len(name)}.{i}" for i in rng.integers(0, 3, size=n)],
            "status": np.where(rng.random(n) < 0.01, 500, 200).astype(np.int16),
            "latency_ms": 150.0 + 15.0 * completion,
            "user_agent": ["app/1.0"] * n,
            "endpoint": ["/v1/chat/completions"] * n,
            "event_id": [f"{name}-{i}" for i in range(n)],
        }
    return pd.DataFrame(columns)


def users(optional: bool) -> dict[str, pd.DataFrame]:
    rng = np.random.default_rng(7)
    habits: dict[str, tuple[float, tuple[int, int]]] = {
        "busy": (6.0, (0, 24)),
        "office": (8.0, (8, 17)),
        "rare": (0.7, (0, 24)),
        "night": (9.0, (0, 5)),
        "fifth": (5.0, (6, 22)),
    }
    return {name: user(name, times(*habit, rng), optional, rng) for name, habit in habits.items()}


TRAFFIC = {optional: users(optional) for optional in (True, False)}


def joined(frames: list[pd.DataFrame]) -> pd.DataFrame:
    together = pd.concat(frames, ignore_index=True)
    return together.sort_values("timestamp", kind="stable", ignore_index=True)


def scene(attack: Attack, seed: int, strength: Strength, rng: np.random.Generator) -> Scene:
    """A scene in the last two days, of the length the attack asks for; even seeds have optional columns."""
    frames = TRAFFIC[seed % 2 == 0]
    names = list(frames)
    targets = tuple(np.roll(names, -(seed // 2))[: attack.targets(len(names), rng)])
    donor = frames[names[(seed // 2 + len(targets)) % len(names)]]
    end = EPOCH + DAYS * DAY
    room = int(rng.integers(*sorted(attack.room(strength)), endpoint=True))
    start = int(rng.integers(EPOCH + DAY, end - min(room, DAY)))
    if not attack.for_good:
        end = min(end, start + room)
    return Scene(joined([frames[name] for name in targets]), targets, donor, start, end)


def numbers(events: pd.DataFrame, names: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Which of ``names`` each event is from, and its time, tokens and latency: [event], [event, column]."""
    columns = ["timestamp", "prompt_tokens", "completion_tokens"]
    columns += ["latency_ms"] if "latency_ms" in events.columns else []
    who = pd.Index(names).get_indexer(events["user_id"])
    # Microseconds since 1970 stay exact in float64 until the year 2255.
    return who, np.column_stack([events[column].to_numpy(dtype=np.float64) for column in columns])


def check_place(before: pd.DataFrame, after: pd.DataFrame, labels: pd.DataFrame, for_good: bool) -> None:
    """Each label covers a change and begins and ends with one; nothing else changed."""
    names = tuple(labels["user_id"])
    starts, ends = labels["start"].to_numpy(), labels["end"].to_numpy()
    outside, inside = [], []
    for events in (before, after):
        who, values = numbers(events, names)
        within = (who >= 0) & (values[:, 0] >= starts[who]) & (values[:, 0] < ends[who])
        outside.append(events[~within].reset_index(drop=True))
        inside.append((who[within], values[within]))
    assert outside[0].equals(outside[1]), "touched outside its label, or without one"
    for i, name in enumerate(names):
        was, now = (values[who == i] for who, values in inside)
        assert not np.array_equal(was, now), f"{name} was not touched"
        assert now[0, 0] == starts[i]
        assert for_good or now[-1, 0] == ends[i] - 1


def check(attack: Attack, scene: Scene, outcome: Outcome) -> None:
    """All that holds for a single outcome."""
    events, labels = outcome.events, outcome.incidents
    assert list(events.columns) == list(scene.events.columns)
    assert (events.dtypes == scene.events.dtypes).all()
    assert set(events["user_id"]) <= set(scene.targets)
    assert (np.diff(events["timestamp"].to_numpy()) >= 0).all(), "not in time order"
    assert (events["prompt_tokens"] >= 0).all()
    assert (events["completion_tokens"] >= 0).all()
    assert not any(events[name].hasnans for name in events.columns), "a value went missing"
    if "event_id" in events.columns:
        assert events["event_id"].is_unique
        assert (events["latency_ms"] > 0).all()
    assert {"user_id", "start", "end"} <= set(labels.columns)
    assert len(labels) > 0
    assert labels["user_id"].is_unique
    assert set(labels["user_id"]) <= set(scene.targets)
    assert (labels["start"] >= scene.start).all()
    assert (labels["end"] <= scene.end).all()
    assert (labels["start"] < labels["end"]).all()
    if attack.for_good:
        assert (labels["end"] == scene.end).all()
    check_place(scene.events, events, labels, attack.for_good)


def check_seeds(attack: Attack, seeds: range) -> None:
    for seed in seeds:
        rng = np.random.default_rng(seed)
        strength = STRENGTHS[seed // 2 % 4]
        stage = scene(attack, seed, strength, rng)
        check(attack, stage, attack(stage, strength, rng))


@pytest.mark.parametrize("name", ATTACKS)
def test_outcomes_over_a_few_seeds(name: str) -> None:
    check_seeds(ATTACKS[name], range(QUICK))


@pytest.mark.slow
@pytest.mark.parametrize("name", ATTACKS)
def test_outcomes_over_500_seeds(name: str) -> None:
    check_seeds(ATTACKS[name], range(QUICK, SEEDS))


@pytest.mark.parametrize("name", ATTACKS)
def test_blatant_moves_more_than_subtle(name: str) -> None:
    attack = ATTACKS[name]
    moved: dict[Strength, list[float]] = {"blatant": [], "subtle": []}
    for strength, found in moved.items():
        for seed in range(40):
            rng = np.random.default_rng(seed)
            stage = scene(attack, seed, strength, rng)
            found.append(distance(stage.events, attack(stage, strength, rng).events))
    assert np.mean(moved["blatant"]) > 1.3 * np.mean(moved["subtle"])


def distance(before: pd.DataFrame, after: pd.DataFrame) -> float:
    """By how many usual requests' worth the tokens, the requests and the latency differ."""
    total = 0.0
    for column in ("prompt_tokens", "completion_tokens", "latency_ms"):
        if column in before.columns:
            total += abs(after[column].sum() - before[column].sum()) / before[column].mean()
    return total + abs(len(after) - len(before))


@pytest.mark.parametrize("name", ATTACKS)
def test_inputs_stay_and_seeds_decide(name: str) -> None:
    attack = ATTACKS[name]
    stage = scene(attack, 4, "strong", np.random.default_rng(4))
    copy = stage.events.copy(deep=True)
    one, same, other = (attack(stage, "strong", np.random.default_rng(seed)) for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(stage.events, copy)
    pd.testing.assert_frame_equal(one.events, same.events)
    pd.testing.assert_frame_equal(one.incidents, same.incidents)
    assert not one.events.equals(other.events)


@pytest.mark.parametrize("name", ATTACKS)
def test_only_labelled_users_change_in_the_injector(name: str) -> None:
    for seed in range(8):
        frames = TRAFFIC[seed % 2 == 0]
        table = as_table(joined(list(frames.values())))
        start, end = EPOCH + DAY, EPOCH + DAYS * DAY
        injector = Injector({name: ATTACKS[name]})
        events, labels = injector.inject(table, start, end, np.random.default_rng(seed), count=1)
        assert len(labels) > 0
        assert set(labels["kind"]) == {ATTACKS[name].kind}
        assert (labels["start"] >= start).all()
        assert (labels["end"] <= end).all()
        assert events.schema == table.schema
        assert events.equals(ev.sort(events))
        for who in set(frames) - set(labels["user_id"]):
            assert ev.fingerprint(only(events, who)) == ev.fingerprint(only(table, who))


def as_table(frame: pd.DataFrame) -> pa.Table:
    return ev.sort(ev.conform(pa.Table.from_pandas(frame, preserve_index=False)))


def only(table: pa.Table, who: str) -> pa.Table:
    plain = pa.table({name: ev._plain(table.column(name)) for name in table.column_names})
    return plain.filter(pc.equal(plain.column("user_id"), who))


@pytest.mark.parametrize("name", ATTACKS)
def test_sources_are_named(name: str) -> None:
    attack = ATTACKS[name]
    assert attack.kind == name
    if attack.kind.startswith("benign_"):
        assert attack.owasp == ()
        assert attack.atlas == ()
    else:
        assert attack.owasp
        assert all(re.fullmatch(r"LLM(0[1-9]|10):2025", risk) for risk in attack.owasp)
        assert attack.atlas
        assert all(re.fullmatch(r"AML\.T\d{4}(\.\d{3})?", technique) for technique in attack.atlas)


def test_all_kinds_are_there() -> None:
    kinds = [attack.kind for attack in ATTACKS.values()]
    assert sorted(kinds) == sorted(incidents.ATTACK_KINDS + incidents.BENIGN_KINDS)
