"""Request records: networks, user agents and endpoints as short hashes, and what an earlier version had less of."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.lib import recfunctions

from conftest import traffic
from seqdetect.events import Tally, conform
from seqdetect.sequence import requests as module
from seqdetect.sequence.memory import recall, remember
from seqdetect.sequence.requests import REQUEST, Keys, requests
from seqdetect.sequence.stream import Stream


def table(**columns: list[Any]) -> pa.Table:
    rows = len(next(iter(columns.values())))
    needed = {
        "timestamp": pa.array(range(rows)).cast(pa.timestamp("us", "UTC")),
        "user_id": ["u"] * rows,
        "prompt_tokens": [1] * rows,
        "completion_tokens": [1] * rows,
    }
    return conform(pa.table(needed | columns))


def networks(*addresses: str | None) -> list[int]:
    return requests(table(client_ip=list(addresses)), Keys())["network"].tolist()


def test_a_network_is_a_24_or_a_48():
    near, other = networks("198.51.100.7", "198.51.100.250")
    assert near == other > 0
    assert len(set(networks("198.51.100.7", "198.51.101.7", "198.50.100.7"))) == 3
    assert len(set(networks("2001:db8:1:2::3", "2001:0db8:0001:ffff::1", "2001:db8:1::"))) == 1
    assert len(set(networks("2001:db8:1::1", "2001:db8:2::1"))) == 2
    assert len(set(networks("::ffff:198.51.100.7", "198.51.100.9"))) == 1


@pytest.mark.parametrize("name", ["10.0.0.300", "office", "10.0.0.1:443", "a\0b", "fe80::1%eth0"])
def test_what_is_no_address_stands_for_itself(name):
    one, same, other = networks(name, name, name + "x")
    assert one == same > 0
    assert one != other


def test_nothing_known_is_zero():
    assert networks(None, "", "10.0.0.1")[:2] == [0, 0]
    absent = requests(table(model=["m"]), Keys())
    assert [absent[name].tolist() for name in ("network", "agent", "endpoint")] == [[0], [0], [0]]


def test_user_agents_and_endpoints_are_told_apart_and_the_same_in_every_batch():
    agents = ["curl/8", "okhttp/4", "curl/8", None]
    keys = Keys()
    first = requests(table(user_agent=agents, endpoint=["/v1/chat", None, "", "/v1/chat"]), keys)
    again = requests(table(user_agent=agents[::-1]), keys)
    assert first["agent"].tolist() == again["agent"][::-1].tolist()
    assert first["agent"][0] == first["agent"][2] != first["agent"][1]
    assert first["agent"][3] == first["endpoint"][1] == first["endpoint"][2] == 0
    assert first["endpoint"][0] == first["endpoint"][3] > 0


def test_hashes_are_the_same_when_what_is_remembered_was_thrown_away(monkeypatch):
    rows = table(client_ip=[f"10.{i}.0.1" for i in range(9)], user_agent=[f"a{i}" for i in range(9)])
    kept, forgetful = Keys(), Keys()
    expected = [requests(rows, kept) for _ in range(2)]
    monkeypatch.setattr(module, "KNOWN_HASHES", 4)
    found = [requests(rows, forgetful) for _ in range(2)]
    assert np.array_equal(
        np.concatenate(found)[["network", "agent"]], np.concatenate(expected)[["network", "agent"]]
    )


def test_client_errors_are_told_from_the_servers():
    assert requests(table(status=[200, 399, 400, 499, 500, 599, None]), Keys())["error"].tolist() == [
        0, 0, 1, 1, 2, 2, -1,
    ]  # fmt: skip


def test_a_memory_of_before_networks_is_taken_up():
    events = traffic(users=3, hours=2)
    kept, old = Stream(10.0, 10.0, Tally()), Stream(10.0, 10.0, Tally())
    kept.push(events.slice(0, 60))
    document, kept_arrays = remember(kept)
    arrays = {name: array.copy() for name, array in kept_arrays.items()}
    less = [name for name in REQUEST.names if name not in ("network", "agent", "endpoint")]
    for name in ("pending", "held"):
        arrays[name] = recfunctions.repack_fields(arrays[name][less])
    assert len(arrays["pending"]) > 0
    recall(old, document, arrays)
    assert old.pending.dtype == REQUEST
    assert not old.pending["network"].any()
    expected, found = kept.push(events.slice(60)), old.push(events.slice(60))
    assert np.array_equal(found.steps.features, expected.steps.features, equal_nan=True)
    assert len(found.requests) == len(expected.requests)
