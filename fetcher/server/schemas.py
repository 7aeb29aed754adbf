"""The answers about a GroupBy: its Avro schemas, and where its batch values end.

Source: `ai.chronon.online.JavaGroupBySchemaResponse`, `Fetcher.fetchGroupByStatus` of zipline.
"""

import json
from datetime import UTC, datetime

from chronon_beam.aggregator.plan import Plan
from chronon_beam.fetcher.batch_info import BatchInfo
from chronon_beam.fetcher.fetch import Fetcher

Member = str | int


def group_by_schema(plan: Plan) -> dict[str, Member]:
    """Schemas of keys, features (before derivations), aggregated columns and selected columns."""
    chronon = json.loads(BatchInfo(plan, 0).to_chronon())
    return {
        "groupByName": plan.group_by.name,
        "keySchema": json.dumps(plan.keys.schema),
        "valueSchema": json.dumps(plan.outputs.schema),
        "inputSchema": json.dumps(plan.rows.schema),
        "selectedSchema": chronon["selectedAvroSchema"],
    }


def group_by_status(fetcher: Fetcher) -> dict[str, Member]:
    """The end of the batch values; only the name for a GroupBy without batch values."""
    status: dict[str, Member] = {"groupByName": fetcher.plan.group_by.name}
    if fetcher.batch is not None:
        end = datetime.fromtimestamp(fetcher.batch.end_ms / 1000, UTC)
        status["batchEndDate"] = end.date().isoformat()
        status["batchEndTs"] = fetcher.batch.end_ms
    return status
