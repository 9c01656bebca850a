"""From a request to somebody's pager and back to silence: the service, a real Alertmanager, and PagerDuty's shape."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import programs
from far_side import PagerDuty
from programs import Program
from receiver import receiver
from seqdetect.sink.alertmanager import LASTS_RESENDS

from .running import Service, calm, event, until

RESEND_S = 1.5
PAGED = """
route:
  receiver: pager
  group_by: [alert_id]
  group_wait: 50ms
  group_interval: 200ms
receivers:
  - name: pager
    pagerduty_configs:
      - url: {url}/v2/enqueue
        routing_key: 0123456789abcdef0123456789abcdef
        severity: critical
        description: '{{{{ (index .Alerts 0).Annotations.summary }}}}'
"""


def loud(second: float, *users: str) -> list[dict[str, Any]]:
    """Everybody does what they do, and ``users`` what calls a person."""
    return calm(second) + [event(second + 1, user, 20_000) for user in users]


def open_incidents(far: PagerDuty) -> set[str]:
    """The users whose incidents are open."""
    return {events[-1]["payload"]["summary"].split("user ")[1].split(",")[0] for events in far.open.values()}


def ends(manager: Program, user: str) -> datetime:
    """When the alert of ``user`` will end by itself, or long ago where none fires."""
    alerts = manager.get("/api/v2/alerts")
    times = [one["endsAt"] for one in alerts if one["annotations"]["user_id"] == user]
    return max(map(datetime.fromisoformat, times), default=datetime.min.replace(tzinfo=UTC))


@pytest.mark.slow
def test_a_pager_is_called_over_a_crash_and_let_go(tmp_path: Path):
    far = PagerDuty()
    with receiver(far) as server, programs.alertmanager(tmp_path, PAGED.format(url=server.url)) as manager:
        service = Service(
            tmp_path,
            input={"http": {"journal": "journal"}},
            outputs=[{"alertmanager": {"urls": [manager.url], "resend_s": RESEND_S}}],
        )
        with service.start():
            service.post(loud(0, "ann", "bob") + calm(60))
            until(lambda: open_incidents(far) == {"ann", "bob"}, "both to be called for")
            # ann goes on, bob does not; these are on disk, and perhaps not scored, when the process is killed
            for second in range(300, 1500, 300):
                service.post(loud(second, "ann"))
            service.kill()
            service.start()
            until(lambda: open_incidents(far) == {"ann"}, "the incident of bob to end")
            # nothing is told of ann any more that is news
            told = datetime.now(UTC) + timedelta(seconds=LASTS_RESENDS * RESEND_S)
            until(
                lambda: ends(manager, "ann") > told + timedelta(seconds=RESEND_S), "ann to be told of again"
            )
            assert service.stop() == 0
        until(lambda: not far.open, "the incident of a scorer that is gone to end")
        assert not far.refused
