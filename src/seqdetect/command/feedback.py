"""``seqdetect feedback``: verdicts on alerts, from the command line."""

from __future__ import annotations

import argparse
import difflib
import json
import sys
from collections.abc import Mapping
from typing import Any

import msgspec

from seqdetect.feedback import exchange
from seqdetect.feedback.alerts import last_states
from seqdetect.feedback.store import Verdicts, existing
from seqdetect.feedback.verdict import Verdict

MOST_SUGGESTED = 3


def run(options: argparse.Namespace) -> None:
    """Do what ``options.action`` names."""
    {"add": _add, "list": _list, "export": _export, "import": _import}[options.action](options)


def _add(options: argparse.Namespace) -> None:
    alert = _alert(options.alert_id, last_states(options.alerts), options.alerts)
    store = Verdicts(options.store)
    one = store.add(alert, options.verdict, options.author, options.note, options.kind)
    earlier = store.by_alert(one.alert_id)[:-1]
    before = f" (in place of {earlier[-1].verdict} by {earlier[-1].author})" if earlier else ""
    print(
        _shown(
            f"{one.alert_id} of {one.user_id}, {one.start} to {one.end}, {one.kind}: {one.verdict}{before}"
        )
    )


def _alert(alert_id: str, alerts: Mapping[str, Mapping[str, Any]], path: str) -> Mapping[str, Any]:
    """The alert of that id. ``ValueError`` names near ones."""
    if alert_id in alerts:
        return alerts[alert_id]
    near = [one for one in alerts if one.startswith(alert_id)] if len(alert_id) > 2 else []
    near = near or difflib.get_close_matches(alert_id, alerts, MOST_SUGGESTED)
    hint = (
        f"; did you mean {' or '.join(near[:MOST_SUGGESTED])}?"
        if near
        else f", which holds {len(alerts)} alerts"
    )
    raise ValueError(f"no alert {alert_id!r} in {path}{hint}")


def _list(options: argparse.Namespace) -> None:
    store = existing(options.store)
    verdicts = store.all() if options.all else store.latest()
    if options.json:
        for one in verdicts:
            print(json.dumps(msgspec.to_builtins(one)))
        return
    for one in verdicts:
        print(_line(one))
    counts = ", ".join(f"{count} {name}" for name, count in store.counts().items())
    print(f"{sum(store.counts().values())} alerts judged: {counts}", file=sys.stderr)


def _line(one: Verdict) -> str:
    kind = one.kind if one.corrected is None else f"{one.kind}, rather {one.corrected}"
    text = f"{one.at[:16]}Z  {one.alert_id}  {one.verdict:6s}  {one.user_id}  {kind}  by {one.author}  {one.note}"
    return _shown(text.rstrip())


def _shown(text: str) -> str:
    """What others wrote, so that it cannot steer the terminal that shows it."""
    return "".join(sign if sign.isprintable() else "?" for sign in text)


def _export(options: argparse.Namespace) -> None:
    count = exchange.write(existing(options.store).all(), options.file)
    print(f"{count} verdicts", file=sys.stderr)


def _import(options: argparse.Namespace) -> None:
    verdicts = exchange.read(options.file)
    new = Verdicts(options.store).take(verdicts)
    print(f"{len(verdicts)} verdicts read, {new} of them new", file=sys.stderr)
