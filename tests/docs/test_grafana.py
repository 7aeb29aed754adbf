"""The dashboard and the alerts name metrics that there are, in PromQL that can be read."""

import json
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from prometheus_client import CollectorRegistry

from chronon_beam.api.counts import Metric
from chronon_beam.io.metrics import ProcessMetrics
from chronon_beam.pipeline.exposition import LABEL, MeasuredCollector

FOLDER = Path(__file__).parents[2] / "docs" / "grafana"
DASHBOARD = json.loads((FOLDER / "dashboard.json").read_text(encoding="utf-8"))
RULES = yaml.safe_load((FOLDER / "alerts.yml").read_text(encoding="utf-8"))
ALERTS = [rule for group in RULES["groups"] for rule in group["rules"]]
EXPRESSIONS = [
    *(target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]),
    *(alert["expr"] for alert in ALERTS),
]
OF_PROMETHEUS = {"up", "process_resident_memory_bytes", "process_cpu_seconds_total"}
"""What Prometheus itself and its client's process collector tell."""


def told() -> set[str]:
    """The names of all samples that a process tells of a GroupBy of which all is measured."""
    measured = ProcessMetrics()
    for metric in Metric:
        measured.record(metric, 1)
    registry = CollectorRegistry()
    registry.register(MeasuredCollector({"t.g": measured}))
    return {sample.name for family in registry.collect() for sample in family.samples}


def names_in(expression: str) -> list[str]:
    """The names of the metrics that an expression selects, as often as it does."""
    found: list[str] = []

    def visit(part: Any) -> None:
        if isinstance(part, promql_parser.VectorSelector):
            found.append(part.name)

    promql_parser.walk(promql_parser.parse(expression.replace("$__rate_interval", "5m")), visit)
    return found


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_expression_can_be_read_and_its_metrics_exist(expression: str) -> None:
    names = names_in(expression)
    assert names
    assert set(names) <= told() | OF_PROMETHEUS


def test_every_query_of_a_dashboard_is_of_the_group_bys_that_are_chosen() -> None:
    chosen = DASHBOARD["templating"]["list"][1]
    assert chosen["name"] == LABEL
    assert chosen["query"]["query"] == f"label_values(chronon_messages_total, {LABEL})"
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            ours = [name for name in names_in(target["expr"]) if name not in OF_PROMETHEUS]
            assert target["expr"].count(f'{LABEL}=~"${LABEL}"') == len(ours)


def test_panels_do_not_overlap_and_alerts_say_what_to_do() -> None:
    places = [
        (panel["gridPos"]["x"] + x, panel["gridPos"]["y"] + y)
        for panel in DASHBOARD["panels"]
        for x in range(panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["h"])
    ]
    assert len(set(places)) == len(places)
    assert all(x < 24 for x, _ in places)
    names = [alert["alert"] for alert in ALERTS]
    assert len(set(names)) == len(names)
    for alert in ALERTS:
        assert alert["labels"]["severity"] in ("page", "ticket")
        assert alert["annotations"].keys() == {"summary", "description"}
