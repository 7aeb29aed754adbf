"""Chronon's Thrift structs, as its definitions see them: records with the fields of `api.thrift`.

A definition may build them by hand, and read and change their fields, so they have Chronon's names,
its order of parameters, and no value but None where nothing is given.
"""

from typing import TYPE_CHECKING, Any, ClassVar

from chronon_beam.api.dialect import AIRBNB, ZIPLINE

STRING, BOOL, INT, DOUBLE = "string", "bool", "int", "double"
STRINGS, INTS, MAP, MAPS = "strings", "ints", "map", "maps"
"""Kinds of fields: lists of strings and of ints, map of strings, and map of maps of strings."""


class Struct:
    """A Thrift struct.

    Attributes:
        FIELDS: kind of each field by name, in Thrift's order. A kind is one of those above, an enum
            (`Operation`, `Accuracy`, ...), a struct (`Query`) or a list of structs (`[Source]`).
    """

    FIELDS: ClassVar[dict[str, str]] = {}
    EMPTY: ClassVar[tuple[str, ...]] = ()

    def __init__(self, *values: object, **named: object) -> None:
        """Take values in the order of the fields, or by name.

        Raises:
            TypeError: too many values, or a name that the struct does not have.
        """
        given = dict(zip(self.FIELDS, values, strict=False))
        unknown = [name for name in named if name not in self.FIELDS]
        if unknown or len(values) > len(self.FIELDS):
            wrong = f"{unknown[0]!r}" if unknown else f"a value more than {len(self.FIELDS)}"
            raise TypeError(
                f"{type(self).__name__} does not take {wrong}: its fields are "
                f"{', '.join(self.FIELDS)}"
            )
        if twice := [name for name in named if name in given]:
            raise TypeError(f"{type(self).__name__} got {twice[0]!r} twice")
        values_by_name = {**{name: [] for name in self.EMPTY}, **given, **named}
        for name in self.FIELDS:
            setattr(self, name, values_by_name.get(name))

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"{type(self).__name__} has no field {name!r}")

    if TYPE_CHECKING:

        def __setattr__(self, name: str, value: object) -> None: ...

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

    __hash__ = None  # pyright: ignore[reportAssignmentType] - structs change, as Thrift's do

    def __repr__(self) -> str:
        given = {name: value for name, value in vars(self).items() if value is not None}
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in given.items())})"


_SHARED = """
EventSource: table:string topic:string query:Query isCumulative:bool
EntitySource: snapshotTable:string mutationTable:string mutationTopic:string query:Query
JoinSource: join:Join query:Query
Window: length:int timeUnit:TimeUnit
TDataType: kind:int params:[DataField] name:string
DataField: name:string dataType:TDataType
ExternalPart: source:ExternalSource keyMapping:map prefix:string
"""

_AIRBNB = """
Query: selects:map wheres:strings startPartition:string endPartition:string timeColumn:string
  setups:strings mutationTimeColumn:string reversalColumn:string partitionColumn:string
Source: events:EventSource entities:EntitySource joinSource:JoinSource
Aggregation: inputColumn:string operation:Operation argMap:map windows:[Window] buckets:strings
  elementWise:bool
Derivation: name:string expression:string metaData:MetaData
MetaData: name:string online:bool production:bool customJson:string dependencies:strings
  tableProperties:map outputNamespace:string team:string modeToEnvMap:maps consistencyCheck:bool
  samplePercent:double offlineSchedule:string consistencySamplePercent:double
  historicalBackfill:bool deprecationDate:string description:string
ExternalSource: metadata:MetaData keySchema:TDataType valueSchema:TDataType
  factoryConfig:ExternalSourceFactoryConfig offlineGroupBy:GroupBy
ExternalSourceFactoryConfig: factoryName:string factoryParams:map
GroupBy: metaData:MetaData sources:[Source] keyColumns:strings aggregations:[Aggregation]
  accuracy:Accuracy backfillStartDate:string derivations:[Derivation] isIncremental:bool
"""

_ZIPLINE = """
Query: selects:map wheres:strings startPartition:string endPartition:string timeColumn:string
  setups:strings mutationTimeColumn:string reversalColumn:string partitionColumn:string
  partitionFormat:string partitionInterval:Window partitionLag:Window
  subPartitionsToWaitFor:strings timePartitioned:bool partitionOffset:Window
Source: events:EventSource entities:EntitySource joinSource:JoinSource
  modelTransforms:ModelTransforms
Aggregation: inputColumn:string operation:Operation argMap:map windows:[Window] buckets:strings
Derivation: name:string expression:string
ExternalSource: metadata:MetaData keySchema:TDataType valueSchema:TDataType
MetaData: name:string team:string version:string outputNamespace:string
  additionalOutputPartitionColumns:strings tableProperties:map tags:map columnTags:maps
  columnHashes:map online:bool production:bool sourceFile:string customJson:string
  environments:ints consistencyCheck:bool samplePercent:double consistencySamplePercent:double
  executionInfo:ExecutionInfo
GroupBy: metaData:MetaData sources:[Source] keyColumns:strings aggregations:[Aggregation]
  accuracy:Accuracy derivations:[Derivation] keyFilter:EntitySource onlineStrategy:OnlineStrategy
ExecutionInfo: env:EnvironmentVariables conf:ConfigProperties dependencyPollIntervalMillis:int
  healthCheckIntervalMillis:int clusterConf:ClusterConfigProperties offlineSchedule:string
  stepDays:int historicalBackfill:bool outputTableInfo:TableInfo enableStatsCompute:bool
  onlineSchedule:string workflowConcurrency:int
EnvironmentVariables: common:map modeEnvironments:maps
ConfigProperties: common:map modeConfigs:maps
ClusterConfigProperties: common:map modeClusterConfigs:maps
TableInfo: table:string partitionColumn:string partitionFormat:string partitionInterval:Window
  partitionOffset:Window isCumulative:bool triggerExpr:string timePartitioned:bool
Team: name:string description:string email:string outputNamespace:string tableProperties:map
  env:EnvironmentVariables conf:ConfigProperties clusterConf:ClusterConfigProperties
  executionInfo:ExecutionInfo
"""


def _structs(text: str) -> dict[str, type[Struct]]:
    """The classes that `text` describes: a name, a colon, and its fields with their kinds."""
    made: dict[str, type[Struct]] = {}
    for line in text.replace("\n  ", " ").strip().splitlines():
        if line:
            name, _, fields = line.partition(": ")
            kinds = dict(field.split(":") for field in fields.split())
            made[name] = type(name, (Struct,), {"FIELDS": kinds, "__doc__": f"Chronon's {name}."})
    return made


STRUCTS = {AIRBNB.name: _structs(_SHARED + _AIRBNB), ZIPLINE.name: _structs(_SHARED + _ZIPLINE)}
"""Chronon's structs by dialect and name; those of no use to a GroupBy or at fetch are left out."""

STRUCTS[AIRBNB.name]["Query"].EMPTY = ("setups",)
