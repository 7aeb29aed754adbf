"""Two small repositories of definitions, as teams write them for either Chronon."""

import json
from pathlib import Path

AIRBNB_FILES = {
    "teams.json": json.dumps(
        {
            "default": {"table_properties": {"source": "chronon"}},
            "shop": {"namespace": "shop_db"},
        }
    ),
    "sources/orders.py": """
from ai.chronon.api.ttypes import EventSource, Source
from ai.chronon.query import Query, select

def orders(*columns):
    return Source(events=EventSource(
        table="data.orders/region=eu", topic="orders",
        query=Query(select(*columns, amount="price * 100"), ["price > 0"], "2024-01-01", None, "t"),
    ))
""",
    "staging_queries/shop/days.py": """
from ai.chronon.api.ttypes import MetaData, StagingQuery

by_day = StagingQuery(query="SELECT 1", metaData=MetaData(outputNamespace="staged"))
""",
    "joins/shop/training.py": """
from ai.chronon.join import ExternalPart, Join, JoinPart
from ai.chronon.utils import get_join_output_table_name
from group_bys.shop import orders
from sources.orders import orders as source

v1 = Join(left=source("user"), right_parts=[JoinPart(group_by=orders.v1)], online=True,
          external_parts=[ExternalPart(None, prefix="x")], check_consistency=True)
""",
    "group_bys/shop/orders.py": """
from ai.chronon import utils
from ai.chronon.api import ttypes
from ai.chronon.group_by import (
    Accuracy, Aggregation, Aggregations, Derivation, GroupBy, Operation, TimeUnit, Window)
from sources.orders import orders

SIX_HOURS = Window(6, TimeUnit.HOURS)

v1 = GroupBy(
    orders("user"),
    ["user"],
    [
        Aggregation("amount", Operation.SUM, [SIX_HOURS], ["user"], {"owner": "us"}, None),
        Aggregation("amount", Operation.APPROX_PERCENTILE([0.5, 0.9])),
        ttypes.Aggregation(inputColumn="amount", operation=ttypes.Operation.LAST_K,
                           argMap={"k": "3"}, windows=[ttypes.Window(2147483647, TimeUnit.DAYS)]),
    ],
    True,
    False,
    accuracy=Accuracy.TEMPORAL,
    derivations=[Derivation("*", "*"), Derivation("half", "amount_sum_6h / 2", "of it")],
    enable_tiling=True,
)
v2 = GroupBy(sources=orders("user", "item"), keys=["user"],
             aggregations=Aggregations(item=Aggregation(operation=Operation.HISTOGRAM_K(2))))
""",
    "group_bys/shop/nested/returns.py": """
from ai.chronon.api.ttypes import EntitySource
from ai.chronon.group_by import Aggregation, GroupBy, Operation
from ai.chronon.query import Query, select
from ai.chronon.utils import get_staging_query_output_table_name, group_by_output_table_name
from staging_queries.shop.days import by_day
from ..orders import v1 as upstream

v1 = GroupBy(
    sources=EntitySource(
        snapshotTable=get_staging_query_output_table_name(by_day, full_name=True),
        mutationTable=group_by_output_table_name(upstream, True), mutationTopic="returns",
        query=Query(select("user", "n"), time_column="t", mutation_time_column="changed",
                    reversal_column="gone")),
    keys=["user"], lag=1, output_namespace="own",
    aggregations=[Aggregation("n", Operation.COUNT)])
""",
}

ZIPLINE_FILES = {
    "teams.py": """
from ai.chronon.repo.constants import RunMode
from ai.chronon.types import ClusterConfigProperties, ConfigProperties, EnvironmentVariables, Team

default = Team(
    outputNamespace="default",
    conf=ConfigProperties(common={"spark.chronon.partition.column": "ds"}),
    env=EnvironmentVariables(common={"VERSION": "1"}),
)
shop = Team(
    outputNamespace="shop_db",
    conf=ConfigProperties(common={"cores": "4"}, modeConfigs={"backfill": {"cores": "16"}}),
    env=EnvironmentVariables(common={"VERSION": "2"},
                             modeEnvironments={RunMode.UPLOAD: {"MEMORY": "8G"}}),
    clusterConf=ClusterConfigProperties(modeClusterConfigs={"upload": {"nodes": "2"}}),
)
""",
    "staging_queries/shop/exports.py": """
from ai.chronon.types import EngineType, StagingQuery, TableDependency

orders = StagingQuery(query="SELECT 1", engine_type=EngineType.BIGQUERY, version=3,
                      dependencies=[TableDependency(table="raw", partition_column="ds")])
""",
    "group_bys/shop/orders.py": """
from staging_queries.shop import exports
from ai.chronon.types import (
    Aggregation, ConfigProperties, Derivation, EntitySource, EnvironmentVariables, EventSource,
    GroupBy, Model, Operation, Query, TEMPORAL, TimeUnit, Window, selects, when)

source = EventSource(
    exports.orders.table,
    Query(selects("user", kind=when("n > 9", "'big'").else_("'small'")), ["n > 0"], "2024-01-01",
          None, "t", partition_interval="3h", partition_lag=Window(1, TimeUnit.DAYS)),
    "orders",
)
v1 = GroupBy(
    [source],
    ["user"],
    [
        Aggregation("n", Operation.SUM, ["15m", "7d"], None, {"owner": "us"}),
        Aggregation("n", Operation.APPROX_PERCENTILE([0.5])),
        Aggregation("n", Operation.UNIQUE_TOP_K(2), [Window(length=1, time_unit=TimeUnit.DAYS)]),
        Aggregation("n", Operation.COUNT, ["1d"], filter="kind = 'big'", column_alias="big_n"),
    ],
    2,
    [Derivation("twice", "n_sum_7d * 2")],
    TEMPORAL,
    online=True,
    tags={"tier": "1"},
    env_vars=EnvironmentVariables(common={"ARGS": "-Z"}),
    conf=ConfigProperties(common={"cores": "8"}),
)
users = GroupBy(sources=EntitySource(v1.table, Query(selects=selects("user", "name"))),
                keys=["user"], aggregations=[Aggregation("name", Operation.LAST)], version=0)
""",
}

CLUSTER_TEAMS = """
from ai.chronon.repo.cluster import generate_dataproc_cluster_config
from ai.chronon.repo.spark_catalog_confs import *
from ai.chronon.types import ClusterConfigProperties, ConfigProperties, Team

default = Team(outputNamespace="default")
shop = Team(
    outputNamespace="shop_db",
    conf=ConfigProperties(common={**BigQueryConfiguration({"location": "eu"}), "cores": "4"}),
    clusterConf=ClusterConfigProperties(
        modeClusterConfigs={"upload": {"dataproc": generate_dataproc_cluster_config(2)}}),
)
"""


def write(root: Path, files: dict[str, str]) -> Path:
    """The repository under `root`."""
    for name, text in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return root
