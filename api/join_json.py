"""Chronon's compiled joins: Thrift JSON in, `Join` out, or what is wrong with it.

Fields that only batch jobs read are accepted, and kept in `Join.conf`.
"""

import json
from collections import Counter
from typing import Any

from chronon_beam.api.data_types import StructType, unwritable
from chronon_beam.api.derivations import TIME_COLUMNS
from chronon_beam.api.dialect import Dialect
from chronon_beam.api.group_by import GroupByError
from chronon_beam.api.join import ExternalPart, ExternalSource, Join, JoinPart, KeyMapping
from chronon_beam.api.json_fields import Conf, an_object, compiled_conf, objects, parse_json, text
from chronon_beam.api.thrift_json import derivation, parse_conf
from chronon_beam.api.thrift_types import parse_struct
from chronon_beam.api.validation import check_derivations


def parse_join(text: str | bytes, dialect: Dialect, origin: str = "Join") -> Join:
    """Read one compiled join.

    Args:
        text: Thrift JSON as Chronon's compiler writes it.
        dialect: which Chronon compiled it.
        origin: what errors call the text, for example its path.

    Raises:
        GroupByError: not JSON, an unknown value or a contradiction; names the field.
    """
    return parse_join_conf(parse_json(text, origin), dialect, origin)


def parse_join_conf(value: Any, dialect: Dialect, origin: str = "Join") -> Join:
    """Read one compiled join from its JSON object; see `parse_join`."""
    conf = compiled_conf(value, "Join", "joinParts", origin)
    if conf.get("modelTransforms"):
        raise GroupByError(
            f"{origin}: modelTransforms: the answers of its models take the place of its features, "
            "and no models are asked here: leave them out, and ask the models with the features"
        )
    meta = an_object(conf.get("metaData") or {}, f"{origin}: metaData")
    external = objects(conf, "onlineExternalParts", f"{origin}: ")
    join = Join(
        name=str(meta.get("name") or ""),
        parts=tuple(_part(*each, dialect) for each in objects(conf, "joinParts", f"{origin}: ")),
        external_parts=tuple(parse_external_part(*each, dialect) for each in external),
        derivations=tuple(derivation(*it) for it in objects(conf, "derivations", f"{origin}: ")),
        online=bool(meta.get("online")),
        dialect=dialect,
        conf=conf,
    )
    return validated_join(join, origin)


def _part(conf: Conf, where: str, dialect: Dialect) -> JoinPart:
    body = conf.get("groupBy")
    if not isinstance(body, dict) or "keyColumns" not in body:
        raise GroupByError(
            f"{where}.groupBy: the whole GroupBy is expected, with its sources, keyColumns and "
            f"aggregations, as Chronon's compiler writes it; found {_short(body)}"
        )
    group_by = parse_conf(body, dialect, f"{where}.groupBy")
    mapping = key_mapping(conf.get("keyMapping"), group_by.keys, f"{where}.keyMapping")
    # In Thrift's Java, a boolean that is not set is false.
    return JoinPart(group_by, mapping, _prefix(conf, where), bool(conf.get("useLongNames")))


def parse_external_part(conf: Conf, where: str, dialect: Dialect) -> ExternalPart:
    """Read one external part, which errors call `where`; see `parse_join`."""
    body = an_object(conf.get("source"), f"{where}.source")
    meta = an_object(body.get("metadata") or {}, f"{where}.source.metadata")
    factory = an_object(body.get("factoryConfig") or {}, f"{where}.source.factoryConfig")
    parameters = an_object(factory.get("factoryParams") or {}, f"{where}.source.factoryParams")
    source = ExternalSource(
        name=text(meta, "name", f"{where}.source.metadata"),
        keys=parse_struct(body.get("keySchema"), f"{where}.source.keySchema"),
        values=parse_struct(body.get("valueSchema"), f"{where}.source.valueSchema"),
        factory=factory.get("factoryName"),
        parameters=tuple((name, str(value)) for name, value in parameters.items()),
    )
    _check_writable(source.keys, f"{where}.source.keySchema", dialect)
    _check_writable(source.values, f"{where}.source.valueSchema", dialect)
    keys = tuple(name for name, _ in source.keys.fields)
    mapping = key_mapping(conf.get("keyMapping"), keys, f"{where}.keyMapping")
    return ExternalPart(source, mapping, _prefix(conf, where))


def _prefix(conf: Conf, where: str) -> str | None:
    return None if conf.get("prefix") is None else text(conf, "prefix", where)


def _short(value: Any) -> str:
    found = json.dumps(value)
    return found if len(found) <= 80 else f"{found[:80]}..."


def _check_writable(schema: StructType, where: str, dialect: Dialect) -> None:
    for name, kind in schema.fields:
        if (part := unwritable(kind, dialect.decimals)) is not None:
            raise GroupByError(
                f"{where}: {name!r} is of type {kind.name}, and dialect {dialect.name} has no Avro "
                f"form of {part.name}: declare another type"
            )


def key_mapping(given: Any, keys: tuple[str, ...], where: str) -> KeyMapping:
    """The mapping of columns of the left side to the keys of a part.

    Raises:
        GroupByError: a column is mapped to what is no key, or two columns to one key.
    """
    found = an_object(given or {}, where)
    for left, right in found.items():
        if right not in keys:
            raise GroupByError(
                f"{where}: {left!r} is mapped to {right!r}, which is no key of the part: its keys "
                f"are {', '.join(keys)}; a mapping is {{left column: key}}"
            )
    rights = Counter(found.values())
    if twice := next((right for right, count in rights.items() if count > 1), None):
        lefts = " and ".join(repr(left) for left, right in found.items() if right == twice)
        raise GroupByError(f"{where}: {lefts} are both mapped to {twice!r}: leave one of them out")
    return tuple((left, str(right)) for left, right in found.items())


def validated_join(join: Join, origin: str) -> Join:
    """`join` itself when it can be fetched.

    Raises:
        GroupByError: the first contradiction, with field, value and remedy.
    """
    for index, part in enumerate(join.parts):
        if not part.group_by.name:
            raise GroupByError(
                f"{origin}: the GroupBy of joinParts[{index}] has no name, by which the store "
                "knows it: name it, or hold it in a variable of its file"
            )
    if not join.parts and not join.external_parts:
        raise GroupByError(
            f"{origin}: joinParts is empty, and there are no onlineExternalParts: there is nothing "
            "to fetch"
        )
    _check_names(join, origin)
    _check_derivations(join, origin)
    return join


def _check_names(join: Join, origin: str) -> None:
    """Refuse two parts with a column of one name; Chronon would give out the last one alone."""
    holders: dict[str, str] = {}
    named = [(part.full_name, part.columns) for part in join.parts]
    external = [(part.full_name, part.types) for part in join.external_parts]
    for index, (name, columns) in enumerate((*named, *external)):
        holder = f"part {index} ({name})"
        for column in columns:
            if column in holders:
                raise GroupByError(
                    f"{origin}: {holders[column]} and {holder} both make a column {column!r}: give "
                    "one of them a prefix"
                    + (", or the join useLongNames" if join.dialect.short_names else "")
                )
            holders[column] = holder


def _check_derivations(join: Join, origin: str) -> None:
    known = {*join.columns, *join.left_columns, *TIME_COLUMNS}
    columns = ", ".join(join.columns)
    others = f"which is neither a column of the parts nor of the left side (columns are {columns})"
    check_derivations(join.derivations, known, others, origin)
