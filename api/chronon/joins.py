"""Chronon's words for the external sources of a join, and the conf of a join that a file declares.

The word `Join` itself makes a `JoinProducer`, from whose output table GroupBys read. Fields that
only batch jobs need are ignored.

Source: `ai.chronon.join` of both dialects, and `ai.chronon.data_types` of zipline.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from chronon_beam.api.chronon.conf import Conf, to_conf
from chronon_beam.api.chronon.structs import STRUCTS, Struct
from chronon_beam.api.chronon.tables import JoinProducer
from chronon_beam.api.dialect import ZIPLINE, Dialect
from chronon_beam.api.group_by import GroupBy, GroupByError
from chronon_beam.api.join import CONTEXTUAL

Fields = Sequence[tuple[str, Any]]
"""Names of columns with their types."""


class ExternalWords:
    """The words of one dialect, as a definition calls them."""

    def __init__(self, dialect: Dialect) -> None:
        self._struct: Any = STRUCTS[dialect.name]
        self.types = DataTypes(dialect)
        self.names: dict[str, object] = {
            "ContextualSource": self.contextual_source,
            "DataType": self.types,
            "ExternalPart": self.external_part,
            "ExternalSource": self.external_source,
        }

    def external_source(
        self,
        name: str,
        team: str,
        key_fields: Fields,
        value_fields: Fields,
        custom_json: str | None = None,
        factory_name: str | None = None,
        factory_params: Mapping[str, str] | None = None,
        offline_group_by: object = None,
    ) -> Struct:
        """A service that is asked while a join is fetched."""
        if name == CONTEXTUAL:
            raise GroupByError(f"ExternalSource: name is {name!r}: use ContextualSource")
        made = self._source(name, team, f"ext_{name}", key_fields, value_fields)
        made.metadata.customJson = custom_json
        if factory_name is not None or factory_params is not None:
            config = self._struct["ExternalSourceFactoryConfig"](factory_name, factory_params)
            made.factoryConfig = config
        if offline_group_by is not None:
            made.offlineGroupBy = offline_group_by
        return made

    def contextual_source(self, fields: Fields, team: str = "default") -> Struct:
        """Columns of the request, given back as they are."""
        return self._source(CONTEXTUAL, team, CONTEXTUAL, fields, fields)

    def external_part(
        self,
        source: Struct,
        key_mapping: Mapping[str, str] | None = None,
        prefix: str | None = None,
    ) -> Struct:
        """Columns of an external source in a join."""
        return self._struct["ExternalPart"](source, key_mapping, prefix)

    def _source(self, name: str, team: str, what: str, keys: Fields, values: Fields) -> Any:
        return self._struct["ExternalSource"](
            self._struct["MetaData"](name=name, team=team),
            self.types.STRUCT(f"{what}_keys", *keys),
            self.types.STRUCT(f"{what}_values", *values),
        )


class DataTypes:
    """Chronon's `DataType`, by which columns of external sources are declared."""

    def __init__(self, dialect: Dialect) -> None:
        self._struct: Any = STRUCTS[dialect.name]
        names = ("BOOLEAN", "SHORT", "INT", "LONG", "FLOAT", "DOUBLE", "STRING", "BINARY")
        ids = (0, 2, 3, 4, 5, 6, 7, 8)
        for name, number in zip(names, ids, strict=True):
            setattr(self, name, self._struct["TDataType"](number))

    def MAP(self, key_type: Struct, value_type: Struct) -> Struct:
        """A map from strings."""
        fields = (("key", key_type), ("value", value_type))
        return self._struct["TDataType"](11, self._fields(fields))

    def LIST(self, elem_type: Struct) -> Struct:
        """A list."""
        return self._struct["TDataType"](12, self._fields((("elem", elem_type),)))

    def STRUCT(self, name: str, *fields: tuple[str, Struct]) -> Struct:
        """A struct with these fields."""
        return self._struct["TDataType"](13, self._fields(fields), name)

    def _fields(self, fields: Fields) -> list[Struct]:
        return [self._struct["DataField"](name, kind) for name, kind in fields]


def is_join(value: object) -> bool:
    """Whether a value is a join of Chronon's: a stand-in's, or one of its own package."""
    own = type(value).__name__ == "Join" and hasattr(type(value), "thrift_spec")
    return own or isinstance(value, JoinProducer)


def parts_of(join: Any) -> list[Any]:
    """The join parts of a join of Chronon's."""
    return list(getattr(join, "joinParts", None) or ())


def join_conf(join: Any, name: str, dialect: Dialect) -> Conf:
    """The conf of a join of Chronon's under a name, with what is needed to fetch it.

    Raises:
        GroupByError: a field of another type than Chronon's.
    """
    meta = {**to_conf(join.metaData, dialect, f"{name}.metaData"), "name": name}
    if (online := vars(join).get("online")) is not None:
        meta["online"] = int(bool(online))
    given = {field: vars(join).get(field) or [] for field in ("onlineExternalParts", "derivations")}
    long_names = bool(vars(join).get("useLongNames"))
    parts = [_part_conf(part, dialect, f"{name}.joinParts[{i}]") for i, part in _numbered(join)]
    if dialect is ZIPLINE:
        # zipline's compiler sets this for all parts of a join alike.
        parts = [{**part, "useLongNames": int(long_names)} for part in parts]
    return {
        "metaData": meta,
        "joinParts": parts,
        **{
            field: [to_conf(each, dialect, f"{name}.{field}[{i}]") for i, each in enumerate(values)]
            for field, values in given.items()
        },
    }


def _numbered(join: Any) -> list[tuple[int, Any]]:
    return list(enumerate(parts_of(join)))


def _part_conf(part: Any, dialect: Dialect, where: str) -> Conf:
    group_by = part.groupBy
    body = (
        group_by.to_thrift()
        if isinstance(group_by, GroupBy)
        else to_conf(group_by, dialect, f"{where}.groupBy")
    )
    named = {field: vars(part).get(field) for field in ("keyMapping", "prefix")}
    return {
        "groupBy": body,
        **{field: value for field, value in named.items() if value is not None},
    }
