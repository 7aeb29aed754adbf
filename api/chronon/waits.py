"""The partitions for which zipline's schedule waits before it reads a GroupBy's tables.

Source: `ai.chronon.airflow_helpers` of zipline-ai.
"""

import json
import re
from collections.abc import Iterator

from chronon_beam.api.chronon.conf import Conf

_PARTITION = "spark.chronon.partition.column"


def custom_json(conf: Conf) -> str:
    """The GroupBy's `customJson`, with the partitions to wait for, each once."""
    meta = conf["metaData"]
    waits = [wait for source in conf["sources"] for wait in _of_source(source, _column(meta))]
    kept = json.loads(meta.get("customJson") or "{}")
    distinct = list({json.dumps(wait): wait for wait in waits}.values())
    return json.dumps({**kept, "airflowDependencies": distinct})


def _column(meta: Conf) -> str | None:
    common = meta.get("executionInfo", {}).get("conf", {}).get("common") or {}
    return common.get(_PARTITION)


def _of_source(source: Conf, default: str | None) -> Iterator[Conf]:
    kind, body = next(iter(source.items()))
    query = body.get("query", {})
    column = query.get("partitionColumn") or default
    if kind not in ("events", "entities") or column is None:
        return
    under = "".join(f"/{part}" for part in query.get("subPartitionsToWaitFor") or [])
    read = [body.get("table")] if kind == "events" else [body.get("snapshotTable")]
    for table in [*read, *([body["mutationTable"]] if body.get("mutationTable") else [])]:
        yield {
            "name": f"wf_{re.sub(r'[^a-zA-Z0-9_]', '_', str(table))}_with_offset_0",
            "spec": f"{table}/{column}={{{{ macros.ds_add(ds, 0) }}}}{under}",
        }
