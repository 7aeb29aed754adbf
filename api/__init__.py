"""What a user declares: GroupBys and joins in Chronon's words, from Python or compiled."""

from chronon_beam.api import ttypes
from chronon_beam.api.declare import (
    Aggregation,
    Aggregations,
    DefaultAggregation,
    Derivation,
    EntitySource,
    EventSource,
    GroupBy,
    JoinSource,
    Query,
    Source,
    select,
)
from chronon_beam.api.declare_join import (
    ContextualSource,
    DataType,
    ExternalPart,
    ExternalSource,
    Join,
    JoinPart,
)
from chronon_beam.api.dialect import Operation, TimeUnit
from chronon_beam.api.group_by import Accuracy, GroupByError, Window
from chronon_beam.api.join_json import parse_join
from chronon_beam.api.load import load_group_by, load_join
from chronon_beam.api.thrift_json import parse_group_by

__all__ = [
    "Accuracy",
    "Aggregation",
    "Aggregations",
    "ContextualSource",
    "DataType",
    "DefaultAggregation",
    "Derivation",
    "EntitySource",
    "EventSource",
    "ExternalPart",
    "ExternalSource",
    "GroupBy",
    "GroupByError",
    "Join",
    "JoinPart",
    "JoinSource",
    "Operation",
    "Query",
    "Source",
    "TimeUnit",
    "Window",
    "load_group_by",
    "load_join",
    "parse_group_by",
    "parse_join",
    "select",
    "ttypes",
]
