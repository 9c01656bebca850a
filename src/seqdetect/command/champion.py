"""``seqdetect champion``: which registered bundle is in force, and going back to the one before."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from seqdetect.tracking import Tracker

SQLITE = "sqlite:///"


def run(options: argparse.Namespace) -> None:
    """Do what ``options.action`` names."""
    logging.getLogger("alembic").setLevel(logging.ERROR)
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    file = options.tracking.removeprefix(SQLITE)
    if options.tracking.startswith(SQLITE) and not Path(file).exists():
        raise FileNotFoundError(f"no MLflow store at {file}; name it with --tracking")
    tracker = Tracker(options.tracking)
    {"show": _show, "promote": _promote, "rollback": _rollback}[options.action](tracker, options)


def _show(tracker: Tracker, options: argparse.Namespace) -> None:
    versions = tracker.versions()
    if not versions:
        raise ValueError(f"no bundle is registered in {options.tracking}: a sweep registers its winner")
    for one in versions:
        replaced = f"  replaced version {one['replaced']}" if one["replaced"] else ""
        print(f"version {one['version']:3d}  {one['alias'] or '':8s}  run {one['run_id']}{replaced}")


def _promote(tracker: Tracker, options: argparse.Namespace) -> None:
    tracker.promote(options.version)
    print(f"version {options.version} is champion")
    _leave(tracker, options, options.version)


def _rollback(tracker: Tracker, options: argparse.Namespace) -> None:
    left, back = tracker.rollback()
    print(f"version {back} is champion again, in place of {left}")
    _leave(tracker, options, back)


def _leave(tracker: Tracker, options: argparse.Namespace, version: int) -> None:
    if options.out:
        tracker.fetch(version, Path(options.out))
        print(
            f"its bundle is at {options.out}: a service takes it up at SIGHUP where its state is made alike, else as a shadow first"
        )
