"""What a user declares: GroupBys in Chronon's words, from Python or from compiled Thrift JSON."""

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
from chronon_beam.api.dialect import Operation, TimeUnit
from chronon_beam.api.group_by import Accuracy, GroupByError, Window
from chronon_beam.api.join_json import parse_join
from chronon_beam.api.load import load_group_by
from chronon_beam.api.thrift_json import parse_group_by

__all__ = [
    "Accuracy",
    "Aggregation",
    "Aggregations",
    "DefaultAggregation",
    "Derivation",
    "EntitySource",
    "EventSource",
    "GroupBy",
    "GroupByError",
    "JoinSource",
    "Operation",
    "Query",
    "Source",
    "TimeUnit",
    "Window",
    "load_group_by",
    "parse_group_by",
    "parse_join",
    "select",
    "ttypes",
]
