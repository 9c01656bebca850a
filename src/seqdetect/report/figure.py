"""Two pictures of one run as PNG files, for places that show images and not pages."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure


def write(folder: Path, metrics: Mapping[str, Any]) -> list[Path]:
    """``recall.png`` (recall against the false-alert budget) and ``loss.png`` where there was an epoch to plot.

    What could not be measured is left out; returns the files written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    curve = [point for point in metrics["test"]["recall_curve"] if point["recall"] is not None]
    if curve:
        budgets = [point["per_user_week"] for point in curve]
        lines = {
            str(metrics["detector"]): (budgets, [point["recall"] for point in curve]),
            "equally long clean spans": (budgets, [point["chance_recall"] for point in curve]),
        }
        labels = ("false alerts per user-week", "event recall, mean over kinds")
        written.append(_draw(folder / "recall.png", lines, labels, logarithmic=True))
    if metrics["history"]:
        epochs = [float(number) for number in range(1, len(metrics["history"]) + 1)]
        names = [name for name in metrics["history"][0] if name.endswith("loss")]
        lines = {name: (epochs, [one.get(name) for one in metrics["history"]]) for name in names}
        written.append(
            _draw(folder / "loss.png", lines, ("epoch", "reconstruction error"), logarithmic=False)
        )
    return written


def _draw(
    path: Path,
    lines: Mapping[str, tuple[list[Any], list[Any]]],
    labels: tuple[str, str],
    *,
    logarithmic: bool,
) -> Path:
    figure = Figure(figsize=(6, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for (name, (across, up)), style in zip(lines.items(), ("-", "--"), strict=False):
        axes.plot(across, up, style, marker=".", label=name)
    if logarithmic:
        axes.set_xscale("log")
        axes.set_ylim(0, 1)
    axes.set_xlabel(labels[0])
    axes.set_ylabel(labels[1])
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    figure.savefig(path, dpi=110)
    return path
