"""What an inference server counts, from its ``/metrics``: vLLM and Text Generation Inference.

The names are those of https://docs.vllm.ai/en/stable/usage/metrics/ and
https://huggingface.co/docs/text-generation-inference/reference/metrics.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

FAILED: Final = 500
ABORTED: Final = 499
"""The status of a request whose client went away, as nginx has it."""
_REASONS: Final = {"abort": ABORTED, "error": FAILED}
"""vLLM's ``finished_reason`` of what it calls a success all the same."""
_SUMS: Final = {
    # What finished requests had; the plain counters grow while requests are still under way.
    "vllm:request_prompt_tokens_sum": "prompt",
    "vllm:request_generation_tokens_sum": "completion",
    "vllm:prompt_tokens_total": "prompt_so_far",
    "vllm:generation_tokens_total": "completion_so_far",
    "vllm:e2e_request_latency_seconds_sum": "latency_s",
    "vllm:e2e_request_latency_seconds_count": "timed",
    "tgi_request_input_length_sum": "prompt",
    "tgi_request_generated_tokens_sum": "completion",
    "tgi_request_duration_sum": "latency_s",
    "tgi_request_duration_count": "timed",
    "tgi_request_success": "requests",
    "tgi_request_failure": "failed",
    "tgi_request_success_total": "requests",
    "tgi_request_failure_total": "failed",
}


@dataclass(frozen=True)
class Totals:
    """Since the server began: finished requests, those among them that failed and that were aborted, their tokens,
    and the seconds that ``timed`` of them took together."""

    requests: int
    failed: int
    aborted: int
    prompt_tokens: int
    completion_tokens: int
    latency_s: float
    timed: int

    def since(self, before: Totals) -> Totals:
        """What came after ``before``; all there is where the server has begun anew since then."""
        if any(getattr(self, name) < getattr(before, name) for name in self.__dataclass_fields__):
            return self
        return Totals(*(getattr(self, n) - getattr(before, n) for n in self.__dataclass_fields__))


def totals(text: str) -> dict[str, Totals]:
    """By model ("" where the server names none). Raises ``ValueError`` for what is not Prometheus' text format."""
    found: dict[str, dict[str, float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            _add(sample, found)
    return {model: _totals(sums) for model, sums in found.items()}


def _add(sample: Sample, found: dict[str, dict[str, float]]) -> None:
    names = [_SUMS[sample.name]] if sample.name in _SUMS else []
    if sample.name == "vllm:request_success_total":
        names = ["requests"]
        status = _REASONS.get(sample.labels.get("finished_reason", ""))
        if status is not None:
            names.append("failed" if status == FAILED else "aborted")
    if names and 0 <= sample.value < 2**53:
        sums = found.setdefault(sample.labels.get("model_name", ""), defaultdict(float))
        for name in names:  # vLLM counts by engine
            sums[name] += sample.value


def _totals(sums: Mapping[str, float]) -> Totals:
    failed = int(sums.get("failed", 0))
    vllm = "aborted" in sums or "prompt_so_far" in sums
    return Totals(
        requests=int(sums.get("requests", 0)) + (0 if vllm else failed),
        failed=failed,
        aborted=int(sums.get("aborted", 0)),
        prompt_tokens=int(sums.get("prompt", sums.get("prompt_so_far", 0))),
        completion_tokens=int(sums.get("completion", sums.get("completion_so_far", 0))),
        latency_s=sums.get("latency_s", 0.0),
        timed=int(sums.get("timed", 0)),
    )
