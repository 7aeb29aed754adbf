"""Tables of a Bigtable instance: made when a job is launched, with zipline's garbage collection.

Zipline's tables drop a cell when it is five days old, or when its column has 10,000 younger cells.
"""

import logging
from collections.abc import Mapping
from contextlib import suppress

import grpc
from google.api_core.exceptions import (
    AlreadyExists,
    DeadlineExceeded,
    NotFound,
    ServiceUnavailable,
)
from google.api_core.retry import Retry, if_exception_type
from google.cloud.bigtable_admin_v2 import BigtableTableAdminClient, types
from google.cloud.bigtable_admin_v2.services.bigtable_table_admin.transports import (
    BigtableTableAdminGrpcTransport,
)
from google.protobuf.duration_pb2 import Duration

from chronon_beam.io.bigtable.cells import BATCH_TABLE, FAMILY, STREAMING_TABLE
from chronon_beam.io.bigtable.options import BigtableOptions

AGEING = (BATCH_TABLE, STREAMING_TABLE)
MOST_VERSIONS = 10_000

_TIMEOUT_S = 60.0
_passes = if_exception_type(DeadlineExceeded, ServiceUnavailable)

_log = logging.getLogger(__name__)


def collection_rule(table: str, max_age_ms: int | None) -> types.GcRule:
    """What Bigtable may drop of a table; only tables of GroupBys have a greatest age."""
    versions = types.GcRule(max_num_versions=MOST_VERSIONS)
    if max_age_ms is None or table not in AGEING:
        return versions
    seconds, ms = divmod(max_age_ms, 1000)
    age = types.GcRule(max_age=Duration(seconds=seconds, nanos=ms * 1_000_000))
    return types.GcRule(union=types.GcRule.Union(rules=[age, versions]))


def same_rule(one: types.GcRule, other: types.GcRule) -> bool:
    """Whether two rules are equal; the parts of a union may come in any order."""
    parts = [sorted(str(each) for each in r.union.rules) or [str(r)] for r in (one, other)]
    return parts[0] == parts[1]


class BigtableTables:
    """Makes tables, and families that are missing in tables that exist.

    Args:
        options: which instance, and how old its cells may grow.
        channel: a gRPC channel to an emulator; None for Google's.
    """

    def __init__(self, options: BigtableOptions, channel: grpc.Channel | None) -> None:
        self._options = options
        self._owns_channel = channel is None
        self._client = (
            BigtableTableAdminClient(transport=BigtableTableAdminGrpcTransport(channel=channel))
            if channel is not None
            else BigtableTableAdminClient()
        )

    def make(self, table: str) -> bool:
        """Make the table if it does not exist; gives whether it was made.

        Raises:
            GoogleAPICallError, RetryError: the table does not exist and cannot be made.
        """
        rule = collection_rule(table, self._options.max_age_ms)
        found = self._families(table)
        if found is None:
            return self._make(table, rule)
        if FAMILY not in found:
            with suppress(AlreadyExists):  # another worker was faster
                self._modify(table, {"create": types.ColumnFamily(gc_rule=rule)})
        elif not same_rule(found[FAMILY].gc_rule, rule):
            _log.warning(
                "Bigtable table %s exists with another garbage collection rule than asked for; it "
                "is left as it is: %s",
                table,
                str(found[FAMILY].gc_rule).replace("\n", " ") or "keep all",
            )
        return False

    def drop_rows(self, table: str, prefix: bytes) -> None:
        """Drop all rows whose key begins with `prefix`, if the table exists.

        Raises:
            GoogleAPICallError, RetryError: the rows are still there.
        """
        with suppress(NotFound):
            self._client.drop_row_range(
                types.DropRowRangeRequest(
                    name=f"{self._options.name}/tables/{table}", row_key_prefix=prefix
                ),
                timeout=_TIMEOUT_S,
            )

    def close(self) -> None:
        """Close the connection, unless it was given by the caller."""
        if self._owns_channel:
            self._client.transport.close()

    def _families(self, table: str) -> Mapping[str, types.ColumnFamily] | None:
        """The table's families by name; None if there is no table."""
        name = f"{self._options.name}/tables/{table}"
        request = types.GetTableRequest(name=name, view=types.Table.View.SCHEMA_VIEW)
        wait_s = self._options.read_wait_ms / 1000
        again = Retry(_passes, initial=0.1, maximum=1.0, timeout=wait_s)
        try:
            return self._client.get_table(request, retry=again, timeout=wait_s).column_families
        except NotFound:
            return None

    def _make(self, table: str, rule: types.GcRule) -> bool:
        family = types.ColumnFamily(gc_rule=rule)
        try:
            self._client.create_table(
                parent=self._options.name,
                table_id=table,
                table=types.Table(column_families={FAMILY: family}),
                timeout=_TIMEOUT_S,
            )
        except AlreadyExists:  # another worker was faster
            return False
        # The emulator applies the rules of a new table only after a change of them.
        self._modify(table, {"update": family})
        return True

    def _modify(self, table: str, change: dict[str, types.ColumnFamily]) -> None:
        modification = types.ModifyColumnFamiliesRequest.Modification({"id": FAMILY, **change})
        self._client.modify_column_families(
            name=f"{self._options.name}/tables/{table}",
            modifications=[modification],
            timeout=_TIMEOUT_S,
        )


def by_hand(options: BigtableOptions, table: str) -> str:
    """The command that makes the table."""
    ages = ""
    if options.max_age_ms is not None and table in AGEING:
        ages = f"maxage={options.max_age_ms // 1000}s||"
    return (
        f"cbt -project {options.project} -instance {options.instance} createtable {table} "
        f"'families={FAMILY}:{ages}maxversions={MOST_VERSIONS}'"
    )
