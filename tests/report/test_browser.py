"""The page in a real browser, where there is one: it draws everything and asks nothing of the network."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from report import made_up
from seqdetect.report import page

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine to look at the page with")
def test_every_plot_is_drawn_offline_without_errors(tmp_path: Path) -> None:
    driver = pytest.importorskip(
        "playwright.sync_api", reason="playwright drives the browser and isn't installed"
    )
    runs, first, known = made_up.benchmark({"lstm_mixture": 4.0, "ewma": 3.0}, 1)
    path = tmp_path / "report.html"
    page.write(path, "t", runs, "lstm_mixture", made_up.timeline(first, known, np.random.default_rng(0)), {})
    troubles: list[str] = []
    with driver.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        tab = browser.new_page(viewport={"width": 420, "height": 900})
        tab.on("pageerror", lambda error: troubles.append(str(error)))
        tab.on("console", lambda message: troubles.append(message.text) if message.type == "error" else None)
        tab.on("request", lambda sent: troubles.append(sent.url) if sent.url.startswith("http") else None)
        tab.goto(path.as_uri())
        tab.wait_for_selector("html[data-drawn=yes]", timeout=60_000)
        drawn, boxes = tab.locator(".plot .main-svg:first-child").count(), tab.locator(".plot").count()
        width = tab.evaluate("document.documentElement.scrollWidth")
        browser.close()
    assert troubles == []
    assert drawn == boxes >= 6
    assert width <= 420
