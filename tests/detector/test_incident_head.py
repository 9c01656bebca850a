"""A head that learns from bags: planted problems, the graph beside torch, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from detector.stepping import walk
from seqdetect.detector import Examples
from seqdetect.detector.graph import Graph
from seqdetect.detector.incident_head import LEAST_OF_KIND, IncidentHead, Squash

COLUMNS = 6
SMALL: dict[str, Any] = {
    "hidden": (16, 8),
    "rounds": 3,
    "epochs": 10,
    "batch_size": 24,
    "learning_rate": 1e-2,
}


def bags(count: int, seed: int, kinds: tuple[str, ...] = ("flood",), odd_steps: int = 1) -> Examples:
    """Bags of 5 to 20 steps of noise; in every third, an attack, ``odd_steps`` are odd in the column of their kind."""
    rng = np.random.default_rng(seed)
    size = rng.integers(5, 21, count)
    bag = np.repeat(np.arange(count), size)
    values = rng.normal(size=(len(bag), COLUMNS)).astype(np.float32)
    kind = np.full(count, "", object)
    for place, number in enumerate(range(0, count, 3)):
        column = place % len(kinds)
        kind[number] = kinds[column]
        odd = rng.choice(np.flatnonzero(bag == number), odd_steps, replace=False)
        values[odd, 2 * column] += 5.0
        values[odd, 2 * column + 1] -= 5.0
    return Examples(values, bag, kind, np.arange(count) % 7, np.ones(count))


def highest(head: IncidentHead, examples: Examples) -> NDArray[np.float64]:
    """[b] each bag's highest logit."""
    out = np.full(len(examples.kind), -np.inf)
    np.maximum.at(out, examples.bag, head.logits(examples.values))
    return out


def learned(examples: Examples, seed: int = 0, **settings: Any) -> IncidentHead:
    head = IncidentHead(**(SMALL | settings))
    head.fit(examples, Squash.of(examples.values), seed)
    return head


@pytest.fixture(scope="module")
def shown() -> Examples:
    return bags(240, 0, ("flood", "wallet"))


@pytest.fixture(scope="module")
def head(shown: Examples) -> IncidentHead:
    return learned(shown)


def test_one_odd_step_is_found_in_bags_never_seen(head: IncidentHead) -> None:
    fresh = bags(240, 1, ("flood", "wallet"))
    score = highest(head, fresh)
    attack, clean = score[fresh.attack], score[~fresh.attack]
    assert (attack > np.quantile(clean, 0.95)).mean() > 0.9
    said = head.logits(fresh.values)
    odd = np.abs(fresh.values).max(axis=1) > 4.5
    best = np.array([np.flatnonzero(fresh.bag == one)[said[fresh.bag == one].argmax()] for one in range(240)])
    assert odd[best[fresh.attack]].mean() > 0.8, "the step that says so is the odd one"


def test_the_same_seed_gives_the_same_weights(shown: Examples, head: IncidentHead) -> None:
    torch.manual_seed(123)
    drawn = torch.random.get_rng_state()
    again, other = learned(shown), learned(shown, seed=1)
    assert torch.equal(torch.random.get_rng_state(), drawn), "the process is left as it was"
    assert head.net is not None
    assert again.net is not None
    for one, two in zip(head.net.parameters(), again.net.parameters(), strict=True):
        assert torch.equal(one, two)
    assert not np.allclose(other.logits(shown.values), head.logits(shown.values), atol=1e-3)


def test_the_graph_is_the_network(head: IncidentHead) -> None:
    fresh = bags(60, 2, ("flood", "wallet"))
    values = np.concatenate([fresh.values, fresh.values[:50] * 1e4])
    g = Graph(COLUMNS, 1)
    written = head.write(g.features)
    hidden = sum(head.hidden)
    found = walk(
        g,
        values[None],
        logit=(written.logit, 1),
        inputs=(written.inputs, COLUMNS),
        hidden=(written.hidden, hidden),
    )
    assert head.squash is not None
    assert head.net is not None
    np.testing.assert_allclose(found["logit"][0, :, 0], head.logits(values), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found["inputs"][0], head.squash(values), rtol=1e-5, atol=1e-5)
    with torch.no_grad():
        wanted = torch.cat(head.net.hidden(torch.from_numpy(head.squash(values))), dim=1).numpy()
    np.testing.assert_allclose(found["hidden"][0], wanted, rtol=1e-5, atol=1e-5)


def test_the_graph_gives_the_same_bits_in_any_batch(shown: Examples, head: IncidentHead) -> None:
    learner = learned(shown, rounds=1, epochs=1)
    learner.fit_kinds(shown, 0)

    def run(values: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        g = Graph(COLUMNS, 1)
        written = learner.write(g.features)
        kind = learner.write_kinds(written.hidden)
        return walk(g, values[None], logit=(written.logit, 1), kind=(kind, 3))

    whole = run(shown.values[:70])
    for end in (1, 3, 16, 33):
        for name, values in run(shown.values[:end]).items():
            np.testing.assert_array_equal(values[0], whole[name][0, :end], name)


def test_kinds_that_differ_are_told_apart() -> None:
    shown, fresh = (bags(240, seed, ("flood", "wallet", "drip"), odd_steps=4) for seed in (3, 4))
    head = learned(shown)
    head.fit_kinds(shown, 0)
    assert head.kinds == ["drip", "flood", "wallet"]
    g = Graph(COLUMNS, 1)
    kind = head.write_kinds(head.write(g.features).hidden)
    found = walk(g, fresh.values[None], kind=(kind, 4))["kind"][0]
    np.testing.assert_array_equal(found[:, 0], 0.0)
    np.testing.assert_allclose(found.sum(axis=1), 1.0, atol=1e-5)
    score = head.logits(fresh.values)
    right = []
    for number in np.flatnonzero(fresh.attack):
        mine = np.flatnonzero(fresh.bag == number)
        said = head.kinds[int(found[mine[score[mine].argmax()], 1:].argmax())]
        right.append(said == fresh.kind[number])
    assert np.mean(right) > 0.8


def test_a_kind_seen_a_few_times_is_not_learned() -> None:
    examples = bags(90, 5, ("flood", "wallet"))
    kind = examples.kind.copy()
    kind[np.flatnonzero(kind == "wallet")[LEAST_OF_KIND - 1 :]] = "flood"
    few = Examples(examples.values, examples.bag, kind, examples.user, examples.weight)
    head = learned(few, rounds=1, epochs=1)
    head.fit_kinds(few, 0)
    assert head.kinds == [], "one kind is no choice"
    kind[np.flatnonzero(kind == "flood")[:LEAST_OF_KIND]] = "drip"
    head.fit_kinds(Examples(few.values, few.bag, kind, few.user, few.weight), 0)
    assert head.kinds == ["drip", "flood"]


def test_the_slope_is_the_logit_over_the_inputs(head: IncidentHead) -> None:
    values = bags(30, 6, ("flood", "wallet")).values
    assert head.squash is not None
    assert head.net is not None
    inputs = head.squash(values).astype(np.float64)
    net = head.net.double()
    wanted = []
    with torch.no_grad():
        for column in range(COLUMNS):
            step = np.zeros((1, COLUMNS))
            step[0, column] = 1e-4
            change = net(torch.from_numpy(inputs + step)) - net(torch.from_numpy(inputs - step))
            wanted.append(float(change.mean()) / 2e-4)
    net.float()
    np.testing.assert_allclose(head.slope(values), wanted, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("kind", ["", "flood"])
def test_it_needs_attacks_and_clean_time(shown: Examples, kind: str) -> None:
    kinds = np.full(len(shown.kind), kind, object)
    with pytest.raises(ValueError, match="lack one of them"):
        learned(Examples(shown.values, shown.bag, kinds, shown.user, shown.weight))


def test_squashed_values_keep_their_order_and_stay_small() -> None:
    values = np.random.default_rng(7).normal(3.0, 2.0, (5_000, 1)).astype(np.float32)
    squash = Squash.of(values)
    np.testing.assert_allclose(squash.centre, 3.0, atol=0.1)
    np.testing.assert_allclose(squash.scale, 2.0, rtol=0.1)
    line = np.linspace(-1e3, 1e3, 4_001, dtype=np.float32)[:, None]
    bent = squash(line)[:, 0]
    assert (np.diff(bent) > 0).all()
    assert np.abs(bent).max() < 4.0
    constant = Squash.of(np.ones((10, 2), np.float32))
    np.testing.assert_array_equal(constant(np.ones((1, 2), np.float32)), 0.0)


def test_examples_are_taken_by_bags(shown: Examples) -> None:
    attacks = shown.take(shown.attack)
    assert attacks.attack.all()
    assert len(attacks.kind) == 80
    for number, original in list(enumerate(np.flatnonzero(shown.attack)))[::20]:
        np.testing.assert_array_equal(
            attacks.values[attacks.bag == number], shown.values[shown.bag == original]
        )
