"""What each program of the demo is told, as its configuration file would say it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

TOPIC = "llm-requests"
RULES = Path(__file__).resolve().parents[1] / "prometheus" / "rules"


def scorer(bundle: Path, broker: int, port: int, alertmanager: int | None, pager: str) -> dict[str, Any]:
    """For ``seqdetect serve``; without an Alertmanager it calls the pager itself."""
    page = f"http://127.0.0.1:{port}/"
    told: dict[str, Any] = (
        {"pagerduty": {"routing_key": {"env": "DEMO_PAGER"}, "url": pager}}
        if alertmanager is None
        else {"alertmanager": {"urls": [f"http://127.0.0.1:{alertmanager}"], "page_url": page}}
    )
    return {
        "models": [{"name": "users", "bundle": str(bundle), "prices": {"prompt": 2.5, "completion": 10.0}}],
        "input": {
            "kafka": {
                "servers": f"127.0.0.1:{broker}",
                "topics": [TOPIC],
                # joining takes this broker half a session's timeout
                "settings": {"session.timeout.ms": 6000, "heartbeat.interval.ms": 500},
            }
        },
        "outputs": [{"jsonl": {"path": "alerts.jsonl"}}, told],
        "checkpoint": {"folder": "state", "start": "start.ckpt", "every_s": 5},
        "feedback": {"path": "verdicts.db"},
        "http": {"port": port},
    }


def alertmanager(pager: str) -> dict[str, Any]:
    """Every alert calls somebody, so that there is something to see; ``serving/alertmanager`` calls for critical ones."""
    summary = "{{ (index .Alerts 0).Annotations.summary }}"
    return {
        "route": {
            "receiver": "nobody",
            "group_by": ["alertname", "alert_id", "team"],
            "group_wait": "1s",
            "group_interval": "5s",
            "routes": [{"receiver": "pager", "matchers": ['alertname="LLMUsageAnomaly"']}],
        },
        "receivers": [
            {"name": "nobody"},
            {
                "name": "pager",
                "pagerduty_configs": [
                    {
                        "routing_key": "demo",
                        "url": pager,
                        "description": summary,
                        "details": {"alert_id": "{{ .CommonLabels.alert_id }}"},
                    }
                ],
            },
        ],
    }


def prometheus(scorer: int, alertmanager: int | None) -> dict[str, Any]:
    """The scorer's figures every five seconds, and the alarms about the scorer itself."""
    found = {
        "global": {"scrape_interval": "5s", "evaluation_interval": "5s"},
        "rule_files": [str(RULES / "*.yaml")],
        "scrape_configs": [
            {"job_name": "seqdetect", "static_configs": [{"targets": [f"127.0.0.1:{scorer}"]}]}
        ],
    }
    if alertmanager is None:
        return found
    target = {"static_configs": [{"targets": [f"127.0.0.1:{alertmanager}"]}]}
    return found | {"alerting": {"alertmanagers": [target]}}
