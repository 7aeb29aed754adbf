"""Joins in Avro: the schemas of their keys and columns, and answers that are Avro records.

Source: `ai.chronon.online.fetcher.MetadataStore.buildJoinCodec`, `Fetcher.fetchJoinV2` and
`FetchHandlerV2` of zipline.
"""

import base64
import hashlib
import json
from collections.abc import Mapping

from chronon_beam.aggregator.avro import AvroError, Schema
from chronon_beam.api.data_types import (
    BOOLEAN,
    BYTE,
    LONG,
    SHORT,
    DataType,
    DecimalType,
    ListType,
    MapType,
    StructType,
)
from chronon_beam.api.group_by import GroupByError
from chronon_beam.api.join import EXCEPTION
from chronon_beam.fetcher.fetch import Features, Fetcher
from chronon_beam.fetcher.joins.codecs import key_codec
from chronon_beam.fetcher.joins.types import part_types
from chronon_beam.fetcher.server.compat import RowResult
from chronon_beam.fetcher.server.served import ServedName
from chronon_beam.fetcher.server.served_join import ServedJoin

_DIGITS = 6
"""How many hexadecimal digits of an MD5 digest Chronon keeps."""


def avro_members(served: ServedName, features: Features | None) -> RowResult:
    """Features as an Avro record in base64, and the failures under their names."""
    assert isinstance(served, ServedJoin)
    assert features is not None
    errors = {name: str(why) for name, why in features.items() if name.endswith(EXCEPTION)}
    try:
        codec = served.values
        values = [_writable(features.get(name)) for name in codec.columns]
        encoded = base64.b64encode(codec.encode(values)).decode()
    except (AvroError, GroupByError) as error:
        return {"status": "Failure", "error": f"the features have no Avro form: {error}"}
    return {"featureAvroString": encoded, "featuresErrors": errors}


def _writable(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def join_schema(served: ServedJoin) -> Mapping[str, object]:
    """The schemas of a join, and where each of its columns comes from.

    Raises:
        GroupByError: a part cannot be served, or Spark cannot evaluate the derivations.
    """
    join, values = served.join, served.values
    schemas = {"key_schema": key_codec(served.fetcher).schema, "value_schema": values.schema}
    texts = {"join_name": join.name, **{name: _text(each) for name, each in schemas.items()}}
    digest = hashlib.md5(_compact(texts).encode(), usedforsecurity=False).hexdigest()
    return {
        "joinName": join.name,
        "keySchema": texts["key_schema"],
        "valueSchema": texts["value_schema"],
        "schemaHash": digest[:_DIGITS],
        "valueInfos": _value_infos(served),
    }


def _text(schema: Schema) -> str:
    """The text of a schema, in which Avro's Java library has the namespace after the name."""
    first = {name: schema[name] for name in ("type", "name", "namespace")}
    return _compact({**first, **schema})


def _compact(texts: Mapping[str, object]) -> str:
    return json.dumps(texts, separators=(",", ":"))


def _value_infos(served: ServedJoin) -> list[RowResult]:
    infos: list[RowResult] = []
    for part in served.join.parts:
        lefts, fetcher = [*part.left_columns.values()], served.fetcher.parts[part.group_by.name]
        assert isinstance(fetcher, Fetcher)  # or `served.values` would have raised
        for name, kind in part_types(part, fetcher).items():
            infos.append(_info(name, part.group_by.name, part.prefix, lefts, kind))
    for part in served.join.external_parts:
        lefts = [*part.left_columns.values()]
        for name, kind in part.types.items():
            infos.append(_info(name, part.source.name, part.prefix, lefts, kind))
    return infos


def _info(name: str, group: str, prefix: str | None, lefts: list[str], kind: DataType) -> RowResult:
    info: RowResult = {"fullName": name, "groupName": group, "leftKeys": lefts}
    return {**info, **({"prefix": prefix} if prefix else {}), "schemaString": spark_name(kind)}


_SPARK_NAMES = {LONG: "bigint", SHORT: "smallint", BYTE: "tinyint", BOOLEAN: "boolean"}


def spark_name(kind: DataType) -> str:
    """A type as Spark writes it.

    >>> spark_name(ListType("list", LONG))
    'array<bigint>'
    """
    if isinstance(kind, ListType):
        return f"array<{spark_name(kind.element)}>"
    if isinstance(kind, MapType):
        return f"map<{spark_name(kind.key)},{spark_name(kind.value)}>"
    if isinstance(kind, StructType):
        return f"struct<{','.join(f'{name}:{spark_name(each)}' for name, each in kind.fields)}>"
    if isinstance(kind, DecimalType):
        return f"decimal({kind.precision},{kind.scale})"
    return _SPARK_NAMES.get(kind, kind.name)
