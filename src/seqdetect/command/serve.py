"""``seqdetect serve``: the scorer as a service."""

from __future__ import annotations

import argparse
import logging
import sys

LOG = logging.getLogger(__name__)


def run(options: argparse.Namespace) -> None:
    """Serve until told to stop. What is wrong at the start is raised; what goes wrong later ends with status 1."""
    try:
        from seqdetect.serve import process
    except ImportError as error:
        raise ValueError(f"{error}; pip install 'seqdetect[serve]'") from error
    made = process.plan(options.config)
    if options.check:
        names = ", ".join(f"{model.name} ({model.key})" for model in made.models)
        print(f"{options.config}: good; models: {names}", file=sys.stderr)
        return
    try:
        process.serve(made)
    except process.StoppedError as error:
        LOG.critical("failed", extra={"fields": {"error": str(error)}}, exc_info=error.__cause__)
        raise SystemExit(1) from error
