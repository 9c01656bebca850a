"""The two published traces: Azure's and BurstGPT's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from seqdetect import events
from seqdetect.events import Tally
from seqdetect.source.azure import Azure, service
from seqdetect.source.burstgpt import API_USER, BurstGPT
from seqdetect.source.merge import times

ROOT = Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "data" / "fixtures"
AZURE = ROOT / ".." / "shared" / "data" / "azure"


def test_azure_reads_both_services_as_users_in_the_order_of_time() -> None:
    if not AZURE.is_dir():
        pytest.skip("../shared/data/azure is absent")
    tally = Tally()
    table = events.concat(Azure(str(AZURE / "*.csv.gz"), chunk_rows=4_096).read(tally))
    assert tally.line() == "events: 28185 read, 0 rejected (), 0 late"
    counts = table.column("user_id").value_counts().to_pylist()
    assert {count["values"]: count["counts"] for count in counts} == {"code": 8_819, "conv": 19_366}
    assert np.all(np.diff(times(table)) >= 0)


def test_azure_files_are_named_by_service(tmp_path: Path) -> None:
    path = tmp_path / "AzureLLMInferenceTrace_code.csv"
    path.write_bytes(b"TIMESTAMP,ContextTokens,GeneratedTokens\r\n2023-11-16 18:17:03.9799609,4808,10")
    (batch,) = Azure(str(path)).read(Tally())
    assert batch.column("user_id").to_pylist() == ["code"]
    assert times(batch).tolist() == [1700158623_979_960]
    assert service("a/b/trace.csv") == "trace"
    assert Azure(str(path)).incidents() is None


def test_burstgpt_counts_from_its_epoch_and_keeps_api_calls_and_failures() -> None:
    tally = Tally()
    table = events.concat(BurstGPT(str(FIXTURES / "burstgpt.csv"), epoch="2023-01-01T00:00:00Z").read(tally))
    assert (table.num_rows, sum(tally.rejected.values())) == (60, 0)
    assert table.column("timestamp")[0].as_py().isoformat() == "2023-01-01T00:02:58+00:00"
    assert table.column("latency_ms")[0].as_py() == 17_400
    assert API_USER in table.column("user_id").to_pylist()
    assert 0 in table.column("completion_tokens").to_pylist()
    assert "status" not in table.column_names


def test_the_first_release_of_burstgpt_is_one_user(tmp_path: Path) -> None:
    path = tmp_path / "first.csv"
    path.write_text(
        "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n5,ChatGPT,3,4,7,API log\n"
    )
    (batch,) = BurstGPT(str(path)).read(Tally())
    assert batch.column("user_id").to_pylist() == ["all"]
    assert "latency_ms" not in batch.column_names
