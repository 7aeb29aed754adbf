"""The names that a definition imports from Chronon's `ttypes`."""

from chronon_beam.api.chronon.airbnb import STRUCT
from chronon_beam.api.dialect import Operation, TimeUnit
from chronon_beam.api.group_by import Accuracy

Aggregation = STRUCT["Aggregation"]
Derivation = STRUCT["Derivation"]
EntitySource = STRUCT["EntitySource"]
EventSource = STRUCT["EventSource"]
GroupBy = STRUCT["GroupBy"]
JoinSource = STRUCT["JoinSource"]
MetaData = STRUCT["MetaData"]
Query = STRUCT["Query"]
Source = STRUCT["Source"]
Window = STRUCT["Window"]

__all__ = [
    "Accuracy",
    "Aggregation",
    "Derivation",
    "EntitySource",
    "EventSource",
    "GroupBy",
    "JoinSource",
    "MetaData",
    "Operation",
    "Query",
    "Source",
    "TimeUnit",
    "Window",
]
