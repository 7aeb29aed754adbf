"""Writes docs/metrics.md from the code: `python docs/make_metrics.py`.

The table of metrics (`api/counts.py`) says all that the page's tables have; the words around them
are here.
"""

from pathlib import Path

from chronon_beam.api.counts import Kind, Metric
from chronon_beam.pipeline.exposition import family_of

PAGE = Path(__file__).with_name("metrics.md")

HEAD = """# Metrics

Made from the code by `python docs/make_metrics.py`; a test fails when it is stale.

A job measures the same things for Beam and for Prometheus, per GroupBy. Where Chronon's Flink job
has a metric of the same quantity, the name is Chronon's.

- **Beam's metrics** go to the runner, and from Flink to its REST API and its reporters. They are in
  the namespace `chronon.feature_group.NAME`, NAME being the GroupBy's: on Flink the late events of
  `team.purchases` are `chronon.feature_group.team.purchases.tiling.late_events` of an operator, as
  in Chronon's job. A distribution has count, sum, min and max since the job has started; Flink's
  Prometheus reporter leaves distributions out.
- **Prometheus' metrics** carry the GroupBy as the label `feature_group`, and times are seconds.

A *gauge* is of a whole worker process; times are those of the worst of its parts. On Flink, each
subtask shows the gauge of the process that serves its TaskManager: over the subtasks of a
TaskManager take the maximum, over TaskManagers the sum, or of times the maximum again. In Beam,
*least* and *greatest* are distributions, whose min or max is meant.

## Where Prometheus finds them

`--metrics_port=9095` has `run` and `upload`, and each of their worker processes, serve
`http://127.0.0.1:9095/metrics` while they work. Processes of one machine take the next port that is
free, up to 9194; with `--metrics_port=0` each takes any. The launcher says its URL, a worker's
stands in its log (on Flink, that of the TaskManager). `--metrics_host=0.0.0.0` lets other machines
read them. On DirectRunner, and on Flink with `LOOPBACK` workers, the launcher is the worker; else
it has no counts of its own, and the workers have them all. Both tell the CPU and memory of their
process. A [template](templates.md)'s jar takes both flags at launch; the Kubernetes manifests give
them, and have Prometheus read that port.
"""

TAIL = """## Dashboard and alerts

[grafana/dashboard.json](grafana/dashboard.json) is a dashboard for Grafana (Dashboards, New,
Import), with the GroupBys to choose from; [grafana/alerts.yml](grafana/alerts.yml) are alert rules
for `rule_files` of Prometheus. Both read what `--metrics_port` serves. The alerts need Prometheus
to scrape it as the job `chronon-beam`:

    scrape_configs:
      - job_name: chronon-beam
        static_configs:
          - targets: ["127.0.0.1:9095", "127.0.0.1:9096"]

A test reads each of their queries with a parser of PromQL, and holds the names against the tables
above. `promtool check rules docs/grafana/alerts.yml` (2.42, by hand) finds no fault in the rules.
They have not been loaded into a Grafana or a Prometheus.

## The numbers add up

Every message ends as a row, as filtered out, or as a dead letter:

    messages + extra_rows = rows + filtered
                          + deserialization_errors + spark_expr_eval_errors

and of these rows, `tiling_process_function_error`, `avro_conversion_errors` and `dead_fold` (an
upload's) are dead letters later on. In PromQL, for a process that is at rest:

    sum(chronon_messages_total + chronon_extra_rows_total) by (feature_group)
    ==
    sum(chronon_rows_total + chronon_filtered_total) by (feature_group)
    + sum(chronon_dead_letters_total{step=~"Decode|Evaluate"}) by (feature_group)

While batches are under way, the sides differ by at most these batches. A bundle that fails and is
done again counts twice in Prometheus, and once in Beam's metrics, which are those of bundles that
have succeeded.
"""

_TITLES = {
    Kind.COUNTER: "Counters",
    Kind.DISTRIBUTION: "Distributions",
    Kind.GAUGE: "Gauges",
}


def row(metric: Metric) -> str:
    """The table's row of one metric."""
    name = family_of(metric)
    if metric.step:
        name += f'_total{{step="{metric.step}"}}'
    elif metric.kind is Kind.COUNTER:
        name += "_total"
    kind = f", {metric.kind}" if metric.kind in (Kind.LEAST, Kind.GREATEST) else ""
    unit = metric.unit.name.lower() if metric.unit.name != "NUMBER" else ""
    return f"| `{metric}`{kind} | {unit} | `{name}` | {metric.help} |"


def section(kinds: tuple[Kind, ...]) -> str:
    """The table of the metrics of some kinds."""
    rows = [row(metric) for metric in Metric if metric.kind in kinds]
    head = ["| in Beam | unit | in Prometheus | what it is |", "|---|---|---|---|"]
    return "\n".join([f"## {_TITLES[kinds[0]]}", "", *head, *rows])


def page() -> str:
    """The whole page."""
    tables = (
        section((Kind.COUNTER,)),
        section((Kind.GAUGE, Kind.LEAST, Kind.GREATEST)),
        section((Kind.DISTRIBUTION,)),
    )
    return "\n\n".join([HEAD.strip(), *tables, TAIL.strip()]) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
