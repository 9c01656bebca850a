"""The real programs that other tests rely on start, answer, and can be started again where they were."""

from __future__ import annotations

from pathlib import Path

import pytest

import programs

NOBODY = "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n"


def test_prometheus(tmp_path: Path) -> None:
    with programs.prometheus(tmp_path, "global: {scrape_interval: 1s}\n") as one:
        assert one.get("/api/v1/query", query="vector(1)")["data"]["result"][0]["value"][1] == "1"


def test_alertmanager(tmp_path: Path) -> None:
    with programs.alertmanager(tmp_path, NOBODY) as one:
        port = one.port
        assert one.get("/api/v2/alerts") == []
    with programs.alertmanager(tmp_path, NOBODY, port) as one:
        assert one.port == port


def test_influxd(tmp_path: Path) -> None:
    with programs.influxd(tmp_path) as one:
        programs.create(one, "some")
        assert {"name": "some"} in programs.query(one, "", "SHOW DATABASES")


def test_what_does_not_start_shows_its_log(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r"(?s)it ended:.*nowhere"):  # noqa: SIM117
        with programs.alertmanager(tmp_path, "route: {receiver: nowhere}\n"):
            pass
