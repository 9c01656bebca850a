"""The page as a whole: what it says, that it parses, and that it asks nothing of the network."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from report import made_up
from seqdetect.report import Run, page, quantity

VOID = {"meta", "link", "input", "br", "img", "hr"}
SECTIONS = [
    "summary",
    "leaderboard",
    "kinds",
    "budget",
    "delay",
    "precision",
    "benign",
    "timelines",
    "training",
    "details",
]


class Outline(HTMLParser):
    """Checks nesting; keeps attributes that load things, ids, captions and visible text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loads: list[str] = []
        self.ids: list[str] = []
        self.tags: list[str] = []
        self.unlabelled_plots = 0
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        self.tags.append(tag)
        self.loads += [
            str(named[name]) for name in ("src", "href", "srcset", "data", "action") if name in named
        ]
        self.ids += [str(named["id"])] if "id" in named else []
        self.unlabelled_plots += named.get("class") == "plot" and not named.get("aria-label")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("script", "style"):
            self.text.append(data)

    @property
    def said(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.text))


def outline(path: Path) -> Outline:
    """Parse, and check what must hold of every report."""
    assert path.stat().st_size < 8e6
    source = path.read_text(encoding="utf-8")
    parsed = Outline()
    parsed.feed(source)
    parsed.close()
    assert parsed.open == []
    assert all(load.startswith("#") for load in parsed.loads), parsed.loads
    styles = "".join(re.findall(r"<style>(.*?)</style>", source, re.DOTALL))
    assert "@import" not in styles
    assert "url(" not in styles
    assert len(parsed.ids) == len(set(parsed.ids))
    assert [name for name in parsed.ids if name in SECTIONS] == SECTIONS
    assert parsed.tags.count("table") == parsed.tags.count("caption")
    assert parsed.tags.count("h1") == 1
    assert parsed.unlabelled_plots == 0
    assert "nan" not in re.findall(r"\w+", parsed.said.lower())
    assert "None" not in re.findall(r"\w+", parsed.said)
    return parsed


LIFTS = {
    "lstm_mixture": 4.5,
    "lstm_autoencoder": 0.2,
    "iforest": 3.0,
    "lof": 2.0,
    "static_threshold": 3.5,
    "ewma": 3.0,
}
Bench = tuple[list[Run], Any, Any]


@pytest.fixture(scope="module")
def bench() -> Bench:
    return made_up.benchmark(LIFTS, seeds=2)


@pytest.fixture(scope="module")
def full(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> Path:
    runs, first, known = bench
    path = tmp_path_factory.mktemp("report") / "new" / "report.html"
    timeline = made_up.timeline(first, known, np.random.default_rng(0))
    provenance = {"git": "deadbeef", "config": {"detector": {"hidden": 64}, "seeds": [0, 1]}}
    page.write(
        path, "All <attacks>", runs, "lstm_mixture", timeline, provenance, ["Kinds were <not> left out."]
    )
    return path


def test_many_runs_and_seeds_say_the_key_numbers(full: Path, bench: Bench) -> None:
    said = outline(full).said
    shown = [run.metrics for run in bench[0] if run.detector == "lstm_mixture"]
    recall = np.mean([one["test"]["budgets"]["critical"]["shipped"]["recall"]["macro"] for one in shown])
    area = np.mean([one["test"]["auc_pr"]["value"] for one in shown])
    luck = np.mean([run.metrics["test_random"]["auc_pr"]["value"] for run in bench[0]])
    assert f"it finds {quantity.number(float(recall))} [" in said
    assert f"AUC-PR{quantity.number(float(area))}" in said.replace(" ", "")
    assert f"random scores: {quantity.number(float(luck))}" in said
    assert "Event recall at 1 false alert per user-week" in said
    assert "lstm_mixture is the champion, among 6 detectors over 2 seeds." in said
    assert "4.00 µs" in said
    assert "632 B" in said


def test_it_is_honest_about_a_detector_that_loses(full: Path) -> None:
    said = outline(full).said
    assert re.search(r"lstm_autoencoder \(0\.\d+ \[[^]]+\]\) does not beat static_threshold", said)


def test_marks_of_the_leaderboard(full: Path) -> None:
    board = full.read_text(encoding="utf-8").split('id="board"')[1].split("</table>")[0]
    rows = re.findall(r'<tr class="(\w+)"', board)
    assert len(rows) == len(LIFTS) + 1
    assert rows[-1] == "random"
    assert rows.count("champion") == 1
    assert board.count(">baseline<") == 2
    assert board.count(">research only<") == 1


def test_alerts_are_explained_in_words(full: Path) -> None:
    said = outline(full).said
    assert "requests 132 instead of 4" in said
    assert "failed requests 42 % instead of 1.0 %" in said
    assert "latency 3.2 s instead of 410 ms" in said
    assert "distinct addresses" not in said


def test_text_from_outside_cannot_become_markup(full: Path) -> None:
    source = full.read_text(encoding="utf-8")
    assert "<title>All &lt;attacks&gt;</title>" in source
    assert "Kinds were &lt;not&gt; left out." in source


def test_a_hostile_user_name_stays_text(bench: Bench, tmp_path: Path) -> None:
    runs, first, known = bench
    bad = "</script><img src=x onerror=alert(1)>"
    first, known = first.replace("user-00", bad), known.replace("user-00", bad)
    path = tmp_path / "report.html"
    page.write(path, "t", runs, "lstm_mixture", made_up.timeline(first, known, np.random.default_rng(0)), {})
    assert "img" not in outline(path).tags


def test_one_run_without_champion_or_timelines(bench: Bench, tmp_path: Path) -> None:
    page.write(tmp_path / "r.html", "One", [bench[0][0]], None, None, {})
    said = outline(tmp_path / "r.html").said
    assert "No champion was named; lstm_mixture is shown, among 1 detector over 1 seed." in said
    assert "No scores of a test span were handed to this report." in said
    assert "Against simple statistics" not in said


def test_without_labels_the_page_says_what_cannot_be_measured(tmp_path: Path) -> None:
    runs, first, known = made_up.benchmark({"iforest": 4.0, "ewma": 3.0}, 1, users=1, labelled=False)
    timeline = made_up.timeline(first, known.iloc[:0], np.random.default_rng(0))
    page.write(tmp_path / "r.html", "Unlabelled", runs, "iforest", timeline, {})
    said = outline(tmp_path / "r.html").said
    assert "No attack is labelled on the test span" in said
    assert "Not measured: no labelled attack starts in the test span." in said
    assert "too few to bound its false alerts" in said
    assert "highest score" in said


@pytest.mark.parametrize(
    "test", [None, {}, {"budgets": {"critical": {"best": None, "shipped": None}}, "note": None}]
)
def test_nothing_measured_still_renders(test: Any, tmp_path: Path) -> None:
    keys = (
        "data",
        "split",
        "calibration",
        "selection",
        "parity",
        "timing",
        "state_bytes_per_user",
        "history",
    )
    empty = {**dict.fromkeys(keys), "test": test, "test_random": None, "research_only": None}
    page.write(tmp_path / "r.html", "Empty", [Run("ewma", 0, empty), Run("bare", 0, {})], "ewma", None, {})
    said = outline(tmp_path / "r.html").said
    assert "ewma is the champion, among 2 detectors over 1 seed." in said
    assert said.count("Not measured") >= 5


def test_wrong_arguments_are_refused(bench: Bench, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one run"):
        page.write(tmp_path / "r.html", "t", [], None, None, {})
    with pytest.raises(ValueError, match="'nobody' has no run"):
        page.write(tmp_path / "r.html", "t", bench[0], "nobody", None, {})
