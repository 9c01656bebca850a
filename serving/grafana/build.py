"""Makes the dashboards of the pages: python serving/grafana/build.py

A page (``pages/*.yaml``) says what its panels ask and mean; what Grafana wants to hear about each is filled in here.
Edit the pages, not the JSON.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

FOLDER: Final = Path(__file__).parent
PAGES: Final = sorted(path.stem for path in (FOLDER / "pages").glob("*.yaml"))
SCHEMA_VERSION: Final = 39
"""Of dashboards as Grafana 10.4 and 11 write them; later ones migrate them."""
COLUMNS: Final = 24
COLOURS: Final = ("green", "orange", "red")
SOURCES: Final = {
    "prometheus": {"type": "prometheus", "uid": "seqdetect-prometheus"},
    "influxdb": {"type": "influxdb", "uid": "seqdetect-influxdb"},
}
OPTIONS: Final[dict[str, dict[str, Any]]] = {
    "timeseries": {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    },
    "stat": {"colorMode": "value", "graphMode": "none", "reduceOptions": {"calcs": ["lastNotNull"]}},
    "bargauge": {
        "orientation": "horizontal",
        "displayMode": "basic",
        "reduceOptions": {"calcs": ["lastNotNull"]},
    },
    "table": {"showHeader": True},
    "heatmap": {"calculate": False, "color": {"scheme": "Blues", "mode": "scheme"}},
}
FORMATS: Final = {"table": "table", "heatmap": "heatmap"}
Json = dict[str, Any]


class Query(msgspec.Struct, forbid_unknown_fields=True):
    """PromQL, or InfluxQL where the panel's source is that."""

    expr: str
    legend: str = ""


class Panel(msgspec.Struct, forbid_unknown_fields=True):
    """From the first of ``steps`` on a value is orange, from the second on red."""

    title: str
    about: str
    queries: list[Query]
    unit: str = "short"
    kind: Literal["timeseries", "stat", "bargauge", "table", "heatmap"] = "timeseries"
    width: int = 8
    height: int = 8
    steps: list[float] = []
    stacked: bool = False
    source: Literal["prometheus", "influxdb"] = "prometheus"


class Page(msgspec.Struct, forbid_unknown_fields=True):
    title: str
    panels: list[Panel]


def shown(panel: Panel, number: int, x: int, y: int) -> Json:
    """``panel`` as Grafana has it, with its place in the grid."""
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.about,
        "datasource": SOURCES[panel.source],
        "gridPos": {"x": x, "y": y, "w": panel.width, "h": panel.height},
        "targets": [
            {"refId": chr(ord("A") + place), "datasource": SOURCES[panel.source], **_asked(panel, query)}
            for place, query in enumerate(panel.queries)
        ],
        "fieldConfig": {"defaults": _defaults(panel), "overrides": []},
        "options": OPTIONS[panel.kind],
    }


def _asked(panel: Panel, query: Query) -> Json:
    form = FORMATS.get(panel.kind, "time_series")
    if panel.source == "influxdb":
        return {"query": query.expr, "rawQuery": True, "resultFormat": form}
    instant = panel.kind in ("stat", "table", "bargauge")
    return {
        "expr": query.expr,
        "legendFormat": query.legend,
        "format": form,
        "instant": instant,
        "range": not instant,
    }


def _defaults(panel: Panel) -> Json:
    values = [None, *panel.steps]
    steps = [{"color": colour, "value": value} for colour, value in zip(COLOURS, values, strict=False)]
    drawn: Json = {"unit": panel.unit, "min": 0, "thresholds": {"mode": "absolute", "steps": steps}}
    if panel.kind == "timeseries":
        drawn["custom"] = {
            "lineWidth": 1,
            "fillOpacity": 30 if panel.stacked else 0,
            "showPoints": "never",
            "stacking": {"mode": "normal" if panel.stacked else "none"},
            "thresholdsStyle": {"mode": "line" if panel.steps else "off"},
        }
    return drawn


def placed(panels: Sequence[Panel]) -> list[Json]:
    """The panels from left to right, in rows as high as their highest."""
    found, x, y, height = [], 0, 0, 0
    for number, panel in enumerate(panels, start=1):
        if x + panel.width > COLUMNS:
            x, y, height = 0, y + height, 0
        found.append(shown(panel, number, x, y))
        x, height = x + panel.width, max(height, panel.height)
    return found


def variable(name: str, query: str) -> Json:
    """A choice among the values of a label, at first all."""
    return {
        "name": name,
        "type": "query",
        "datasource": SOURCES["prometheus"],
        "query": {"query": query, "refId": name},
        "definition": query,
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".+",
        "current": {"text": "All", "value": "$__all"},
    }


def dashboard(name: str) -> Json:
    """The page ``name`` as Grafana imports it."""
    page = msgspec.yaml.decode((FOLDER / "pages" / f"{name}.yaml").read_bytes(), type=Page)
    choices = [
        variable("job", "label_values(seqdetect_build_info, job)"),
        variable("model", 'label_values(seqdetect_bundle_info{job=~"$job"}, model)'),
    ]
    return {
        "uid": f"seqdetect-{name}",
        "title": page.title,
        "tags": ["seqdetect"],
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": True,
        "timezone": "utc",
        "time": {"from": "now-6h", "to": "now"},
        "refresh": "30s",
        "templating": {"list": choices if any(panel.source == "prometheus" for panel in page.panels) else []},
        "annotations": {"list": []},
        "links": [
            {
                "type": "dashboards",
                "title": "seqdetect",
                "tags": ["seqdetect"],
                "asDropdown": True,
                "keepTime": True,
            }
        ],
        "panels": placed(page.panels),
    }


def text(name: str) -> str:
    """The dashboard as the file that is committed."""
    return json.dumps(dashboard(name), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    for one in PAGES:
        (FOLDER / "dashboards" / f"{one}.json").write_text(text(one), encoding="utf-8")
