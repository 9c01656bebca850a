"""The page in a real browser, where there is one: by pointer and by keyboard, with users who choose hostile names."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from seqdetect.feedback.store import Verdicts

from .running import Service, calm, event, until

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
AXE = os.environ.get("AXE_JS", "node_modules/axe-core/axe.min.js")
"""Where axe-core may be found: ``npm install --no-save axe-core``, or the path of its file."""
HOSTILE = "<img src=x onerror=\"document.title='owned'\">\u202e</script>"
LOUD = 50_000

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine to look at the page with"),
]


@dataclass
class Looked:
    """A tab, and what went wrong in it."""

    tab: Any
    address: str
    troubles: list[str] = field(default_factory=list)

    def watch(self) -> None:
        own = self.address.rstrip("/")
        note = self.troubles.append
        self.tab.on("pageerror", lambda error: note(str(error)))
        self.tab.on("console", lambda said: note(said.text) if said.type in ("error", "warning") else None)
        self.tab.on(
            "request", lambda sent: note(sent.url) if not sent.url.startswith((own, "data:")) else None
        )

    def open(self) -> None:
        self.tab.goto(self.address)
        self.tab.wait_for_selector("html[data-ready=yes]", timeout=60_000)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A user with a past, then two odd users, one with a hostile name."""
    folder = tmp_path_factory.mktemp("page")
    past = [event(second, "regular", 90 + second % 40) for second in range(0, 600, 10)]
    events = [*past, *calm(600), event(601, HOSTILE, LOUD), event(602, "regular", LOUD), *calm(640)]
    prices = {"prompt": 2.5, "completion": 10.0}
    models = [
        {"name": "tokens", "bundle": "bundle.onnx", "prices": prices, "runbooks": "https://wiki.example/r"}
    ]
    with Service(folder, models=models, feedback={"path": "verdicts.db"}) as running:
        for begin in range(0, len(past), 10):  # regular is at the top, and so watched before it is odd
            running.post(events[begin : begin + 10])
        running.post(events[len(past) :])
        until(lambda: len(running.changes()) >= 2, "the alerts")
        yield running
        assert running.stop() == 0


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    driver = pytest.importorskip(
        "playwright.sync_api", reason="playwright drives the browser and isn't installed"
    )
    with driver.sync_playwright() as play:
        running = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield running
        running.close()


@pytest.fixture
def looked(service: Service, browser: Any) -> Iterator[Looked]:
    """The page, opened; whatever a test does, nothing may go wrong or be asked of others."""
    tab = browser.new_page(viewport={"width": 1280, "height": 900})
    page = Looked(tab, f"http://127.0.0.1:{service.port}/")
    page.watch()
    page.open()
    yield page
    tab.close()
    assert page.troubles == []


def test_names_are_shown_as_text_whatever_they_are(looked: Looked) -> None:
    tab = looked.tab
    whom = tab.locator(".card .who").all_inner_texts()
    assert sorted(whom) == sorted(["regular", HOSTILE.replace("\u202e", "⟨U+202E⟩")])
    assert tab.title() == "(2 critical) seqdetect"
    assert tab.locator("img").count() == 0
    assert tab.locator("#users .who").first.inner_text() in whom
    tab.get_by_role("button", name=re.compile("^Timeline: wallet, <img")).click()
    tab.wait_for_selector("#timeline-title:focus")
    assert HOSTILE.replace("\u202e", "⟨U+202E⟩") in tab.locator("#timeline-title").inner_text()
    assert tab.title() == "(2 critical) seqdetect"


def test_a_card_says_what_happened(looked: Looked) -> None:
    card = looked.tab.locator(".card", has_text="regular").inner_text()
    for words in (
        "Critical",
        "wallet",
        "since",
        "score",
        "threshold 1.50",
        "50,000 completion tokens in 10 s",
        "$0.50 so far",
        "Runbook",
    ):
        assert words in card, words


def test_a_timeline_opens_and_is_read_by_keyboard(looked: Looked) -> None:
    tab = looked.tab
    for _ in range(60):
        tab.keyboard.press("Tab")
        if (tab.evaluate("document.activeElement.getAttribute('aria-label')") or "").startswith(
            "Timeline: wallet, regular"
        ):
            break
    else:
        pytest.fail("the button is not reached by Tab")
    assert tab.evaluate("document.activeElement.matches(':focus-visible')")
    tab.keyboard.press("Enter")
    tab.wait_for_selector("#timeline-title:focus")
    assert tab.locator("#plots svg").count() == 4
    for drawing in tab.locator("#plots svg").all()[1:]:
        assert drawing.locator(".band").get_attribute("d")
        assert drawing.locator(".dots.critical").get_attribute("d").startswith("M")
    tab.locator("#plots").focus()
    tab.keyboard.press("End")
    assert "(critical)" in tab.locator("#readout").inner_text()
    tab.keyboard.press("ArrowLeft")
    readout = tab.locator("#readout").inner_text()
    assert re.search(r"UTC · score -?\d", readout)
    assert re.search(r"completion tokens, expected \d+ \(\d+ to \d+\)", readout)
    tab.locator("#values-toggle").focus()
    tab.keyboard.press("Space")
    assert tab.locator("#values tbody tr").count() >= 20
    assert "critical" in tab.locator("#values tbody tr").first.inner_text()
    assert "50,000 completion tokens" in tab.locator("#worst").inner_text()


def test_a_verdict_is_kept_by_clicking(looked: Looked, service: Service) -> None:
    tab = looked.tab
    card = tab.locator(".card", has_text="regular")
    card.get_by_role("button", name=re.compile("^False: verdict")).click()
    dialog = tab.get_by_role("dialog")
    assert dialog.get_by_label("False nothing unusual").is_checked()
    dialog.get_by_role("button", name="Save").click()
    assert dialog.is_visible()  # a name is needed
    dialog.get_by_label("Your name").fill("Ana")
    dialog.get_by_label("Expected").check()
    dialog.get_by_label("Note").fill("<b>launch</b>")
    dialog.get_by_role("button", name="Save").click()
    tab.wait_for_selector(".given")
    assert card.locator(".given").inner_text() == "Expected says Ana: <b>launch</b>"
    tab.wait_for_selector("[data-focus=v-false]:focus")
    (kept,) = Verdicts(service.folder / "verdicts.db").latest()
    assert (kept.user_id, kept.verdict, kept.author, kept.note) == (
        "regular",
        "benign",
        "Ana",
        "<b>launch</b>",
    )
    card.get_by_role("button", name=re.compile("^True: verdict")).click()
    assert dialog.get_by_label("Your name").input_value() == "Ana"
    tab.keyboard.press("Escape")
    assert not dialog.is_visible()


def test_focus_stays_while_figures_change(looked: Looked, service: Service) -> None:
    tab = looked.tab
    button = tab.locator("#users button.sort", has_text="Tokens")
    button.focus()
    tab.keyboard.press("Enter")
    tab.wait_for_selector("#users th[aria-sort=descending]:has-text('Tokens')")
    assert tab.evaluate("document.activeElement.dataset.focus") == "by-tokens"
    with tab.expect_response("**/api/users*"), tab.expect_response("**/api/alerts"):
        pass
    assert tab.evaluate("document.activeElement.dataset.focus") == "by-tokens"


@pytest.mark.parametrize(("width", "scale"), [(360, 1), (640, 2), (1280, 1)])
def test_nothing_is_wider_than_the_screen(service: Service, browser: Any, width: int, scale: int) -> None:
    """360 pixels as on a small telephone; 640 of twice the size are 1280 at a zoom of 200 %."""
    tab = browser.new_page(viewport={"width": width, "height": 800}, device_scale_factor=scale)
    page = Looked(tab, f"http://127.0.0.1:{service.port}/")
    page.watch()
    page.open()
    tab.wait_for_selector("#plots svg")
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    tab.locator("#values-toggle").click()
    tab.locator(".card button", has_text="True").first.click()
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    tab.close()
    assert page.troubles == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(service: Service, browser: Any, scheme: str) -> None:
    if not Path(AXE).exists():
        pytest.skip("axe-core is not here: npm install --no-save axe-core, or set AXE_JS")
    context = browser.new_context(color_scheme=scheme, bypass_csp=True)
    tab = context.new_page()
    page = Looked(tab, f"http://127.0.0.1:{service.port}/")
    page.open()
    tab.wait_for_selector("#plots svg")
    tab.locator("#values-toggle").click()
    tab.evaluate(Path(AXE).read_text())
    for opened in (False, True):
        if opened:
            tab.locator(".card button", has_text="True").first.click()
        found = tab.evaluate(
            "axe.run(document).then((result) => result.violations.map((one) => [one.id, one.nodes.map((node) => node.target)]))"
        )
        assert found == []
    context.close()


def test_what_fails_is_said(service: Service, browser: Any) -> None:
    tab = browser.new_page()
    page = Looked(tab, f"http://127.0.0.1:{service.port}/")
    page.open()
    assert tab.locator("#state").inner_text() == "Running"
    tab.route("**/api/alerts", lambda route: route.abort())
    tab.wait_for_selector("#state.bad")
    assert "does not answer; what is shown is of" in tab.locator("#state").inner_text()
    tab.unroute("**/api/alerts")
    tab.wait_for_selector("#state.good")
    tab.close()


def test_a_new_alert_is_announced(service: Service, looked: Looked) -> None:
    service.post([event(700, "newcomer", LOUD), *calm(740)])
    looked.tab.wait_for_selector("#news:has-text('newcomer')", state="attached", timeout=60_000)
    assert looked.tab.locator("#news").get_attribute("aria-live") == "polite"
    assert looked.tab.title() == "(3 critical) seqdetect"


def test_an_alert_of_many_shows_what_speaks_for_campaign_or_attack(service: Service, looked: Looked) -> None:
    many = [event(5001 + user / 10, f"many-{user}", LOUD, client_ip=f"10.0.0.{user}") for user in range(12)]
    service.post([*calm(5000), *many, *calm(5040)])
    tab = looked.tab
    card = tab.locator(".card", has_text="users together")
    card.wait_for(timeout=60_000)
    card.locator("summary").focus()
    tab.keyboard.press("Enter")
    rows = card.locator("tbody tr")
    assert rows.count() >= 3
    assert rows.first.locator("td").count() == 3
    assert card.get_by_role("button", name="Timeline").count() == 0
    assert tab.evaluate("document.documentElement.scrollWidth") <= 1280
