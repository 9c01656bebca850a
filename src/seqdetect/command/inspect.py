"""``seqdetect inspect``: what a bundle holds."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import msgspec

from seqdetect.bundle.load import load


def run(options: argparse.Namespace) -> None:
    """Describe it."""
    meta = load(options.bundle).metadata
    if options.json:
        print(json.dumps(msgspec.to_builtins(meta), indent=1))
        return
    size = Path(options.bundle).stat().st_size
    print(f"bundle      {options.bundle} ({size / 1024:.0f} kB), schema {meta.schema_version}")
    print(f"detector    {meta.detector}, version {meta.version}")
    print(f"key         {meta.key}; tick {meta.tick_s:g} s, lateness {meta.lateness_s:g} s")
    print(f"state       {meta.state.bytes_per_user} bytes per user, layout {meta.state.hash}")
    for name, threshold in meta.thresholds.items():
        print(f"{name:11s} {threshold.value:.4f}  {threshold.statement}")
    print(f"calibration {meta.calibration.get('statement', '')}")
    print(
        f"parity      {meta.parity.largest_difference:.1e} over {meta.parity.rows} rows ({meta.parity.reference})"
    )
    origin = {key: value for key, value in meta.provenance.items() if not isinstance(value, dict)}
    print("provenance  " + ", ".join(f"{key} {value}" for key, value in origin.items()))
    print("features")
    for feature in meta.features:
        absent = "" if feature.observed else "  (absent in training)"
        print(f"  {feature.name:22s} {feature.unit}; neutral {feature.neutral:.4g}{absent}")
