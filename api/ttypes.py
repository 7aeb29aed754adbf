"""The names that a Chronon definition imports from `ttypes`, so that it runs unchanged."""

from chronon_beam.api.declare import (
    Aggregation,
    Derivation,
    EntitySource,
    EventSource,
    Query,
    Source,
)
from chronon_beam.api.dialect import Operation, TimeUnit
from chronon_beam.api.group_by import Accuracy, Window

__all__ = [
    "Accuracy",
    "Aggregation",
    "Derivation",
    "EntitySource",
    "EventSource",
    "Operation",
    "Query",
    "Source",
    "TimeUnit",
    "Window",
]
