"""`trace` shows what the job does: the same dead letters, the same tiles."""

import base64
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from jobs import batches_of, job_of, run_batches
from test_totals import BASKETS, DDL, LINES

from chronon_beam.pipeline.tracing import Tracer
from chronon_beam.transforms.spark.session import parse_ddl

GROUP_BY = "from test_totals import BASKETS as baskets"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("traced")


@settings(max_examples=5)
@given(LINES)
def test_trace_has_the_jobs_dead_letters_and_tiles(folder: Path, drawn: list[Any]) -> None:
    (folder / "g.py").write_text(GROUP_BY)
    lines = [event if isinstance(event, bytes) else json.dumps(event).encode() for event in drawn]
    (folder / "e.jsonl").write_bytes(b"".join(line + b"\n" for line in lines))
    source = f"file:{folder / 'e.jsonl'}?schema={DDL}"
    for tiled in (True, False):
        traced = list(Tracer(str(folder / "g.py"), None, source, tiled).lines())
        outcome = run_batches(job_of(BASKETS, parse_ddl(DDL), tiled=tiled), batches_of(lines))
        dead = Counter(
            (line["dead_letter"]["step"], line["position"].rpartition("@")[2])
            for line in traced
            if "dead_letter" in line
        )
        assert dead == Counter((each.step, str(each.position)) for each in outcome.dead)
        shown = [line["4_convert"]["PutRequest"] for line in traced if "4_convert" in line]
        values = Counter(base64.b64decode(each["valueBytes"]) for each in shown)
        writes = Counter(each.value_bytes for each in outcome.writes)
        if tiled:  # the writes of closing tiles are the job's alone
            complete = [v for v in writes.elements() if outcome.plan.tiles.decode(v)[1]]
            writes -= Counter(complete)
        assert values == writes
