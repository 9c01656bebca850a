"""What vLLM and TGI count, in texts written by hand after their documentation (``tests/golden/inference``)."""

from __future__ import annotations

import pytest
from reading import GOLDEN

from seqdetect.source.adapter.counters import Totals, totals

VLLM = (GOLDEN / "inference" / "vllm.txt").read_text()
TGI = (GOLDEN / "inference" / "tgi.txt").read_text()


def test_vllm_counts_by_engine_and_finished_requests_are_what_counts():
    assert totals(VLLM) == {"llama": Totals(13, 0, 2, 1_300, 650, 26.0, 13)}


def test_without_histograms_the_plain_counters_do():
    plain = "\n".join(
        line for line in VLLM.splitlines() if "request_prompt" not in line and "request_gen" not in line
    )
    assert totals(plain)["llama"].prompt_tokens == 1_330
    assert totals(plain)["llama"].completion_tokens == 690


def test_tgi_counts_failures_beside_successes():
    assert totals(TGI) == {"": Totals(11, 3, 0, 800, 160, 4.0, 8)}


def test_what_counts_nothing_known_is_nothing():
    assert totals("# TYPE up gauge\nup 1\n") == {}
    with pytest.raises(ValueError, match="Invalid"):
        totals("{nonsense")


def test_a_server_that_begins_anew_counts_from_zero():
    before, after = Totals(10, 1, 0, 100, 50, 5.0, 10), Totals(12, 1, 0, 130, 60, 6.0, 12)
    assert after.since(before) == Totals(2, 0, 0, 30, 10, 1.0, 2)
    assert before.since(after) == before
