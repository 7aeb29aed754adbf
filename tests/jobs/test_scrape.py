"""Prometheus reads a job over a socket while it runs, and what it reads adds up."""

import re
from dataclasses import replace
from typing import ClassVar
from urllib.request import urlopen

import apache_beam as beam
import pytest
from drawing import BEGIN_MS
from jobs import CollectDead, Recording, batches_of, job_of
from prometheus_client.parser import text_string_to_metric_families
from test_totals import BASKETS, DDL

from chronon_beam.api.counts import Metric
from chronon_beam.api.records import PutRequest
from chronon_beam.io import kv_store
from chronon_beam.pipeline.exposition import family_of
from chronon_beam.pipeline.job import build
from chronon_beam.pipeline.run import carry_out
from chronon_beam.pipeline.runners.metrics_endpoint import Endpoint
from chronon_beam.transforms.spark.session import parse_ddl

NAME = "t.scraped"
EVENT = {"user": "ann", "sizes": None, "items": ["a", "b"], "ok": True, "t": BEGIN_MS}
EVENTS = [EVENT, {**EVENT, "ok": False}, {**EVENT, "t": None}, b"{", EVENT, {**EVENT, "items": []}]


def scraped(url: str) -> dict[str, float]:
    """What an endpoint tells of the GroupBy; dead letters with their step."""
    with urlopen(url) as answer:
        families = text_string_to_metric_families(answer.read().decode())
    return {
        each.name + each.labels.get("step", ""): each.value
        for family in families
        for each in family.samples
        if each.labels.get("feature_group") == NAME and "le" not in each.labels
    }


class Scraped(Recording):
    """A store that lets Prometheus read the metrics of the job before it takes a request."""

    said: ClassVar[pytest.CaptureFixture[str]]
    scrapes: ClassVar[list[dict[str, float]]] = []

    def multi_put(self, requests: list[PutRequest]) -> list[str | None]:
        line = re.search(r"Prometheus metrics of this process: (\S+)", self.said.readouterr().err)
        assert line is not None
        self.scrapes.append(scraped(line[1]))
        return super().multi_put(requests)


def open_scraped(uri: str) -> Scraped:
    return Scraped(uri)


def test_what_prometheus_reads_while_a_job_runs_adds_up(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(kv_store.BUILT_IN, "scraped", f"{__name__}:open_scraped")
    Scraped.said = capsys
    job = job_of(replace(BASKETS, name=NAME), parse_ddl(DDL), tiled=False)
    job = replace(job, store_uri="scraped:")

    def lay(root: beam.Pipeline) -> None:
        build(root, job, beam.Create(batches_of(EVENTS)), CollectDead(job.store_uri))

    counts = carry_out(lay, [(NAME,)], "DirectRunner", ["--metrics_port=0"])[NAME]
    (during,) = Scraped.scrapes
    dead = sum(during[f"chronon_dead_letters_total{step}"] for step in ("Decode", "Evaluate"))
    events = during["chronon_messages_total"] + during["chronon_extra_rows_total"]
    assert (events, during["chronon_rows_total"], during["chronon_filtered_total"]) == (8, 4, 2)
    assert (dead, events - 4 - 2 - dead) == (2, 0)
    assert during["chronon_kvstore_writer_successes_total"] == 0
    with Endpoint("127.0.0.1", 0).start() as served:
        after = scraped(served.url)
    assert after["chronon_kvstore_writer_successes_total"] == counts[Metric.ROWS] == 4
    assert after[f"{family_of(Metric.MESSAGE_BYTES)}_total"] == sum(
        len(line) for each in batches_of(EVENTS) for line in each.payloads
    )
    assert after["chronon_freshness_seconds"] > 0
    assert after[f"{family_of(Metric.SPARK_TIME)}_count"] >= 1
