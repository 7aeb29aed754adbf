"""The plain form of Avro schemas: the same bytes, and no value that cannot be read.

It has no logical types, strings are bytes, and each branch of a union is within a record of one
field, which tells the branches apart.
"""

import re
from contextlib import suppress
from typing import Any

import pyarrow as pa

Avro = Any
"""A schema as fastavro parsed it: names in full, a type that is defined before by its name."""

PLAIN = {
    "null": pa.null(),
    "boolean": pa.bool_(),
    "int": pa.int32(),
    "long": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "bytes": pa.binary(),
    "string": pa.string(),
    "enum": pa.string(),
    "fixed": pa.binary(),
}
_WIDER = ({"int", "long"}, "long"), ({"float", "double"}, "double")
_KEPT = ("type", "name", "aliases", "size", "symbols", "default")
"""What a definition keeps, beside its fields: the default is that of an enum."""

_NO_NAME = re.compile(r"\W")


def branches_of(union: list[Avro]) -> list[Avro]:
    """The types of a union that are not null."""
    return [branch for branch in union if branch != "null" and branch != {"type": "null"}]


def _kind(avro: Avro) -> str:
    return avro["type"] if isinstance(avro, dict) and isinstance(avro["type"], str) else str(avro)


def widest(branches: list[Avro]) -> str | None:
    """The type that Spark reads a union of numbers as, if it widens them."""
    kinds = {_kind(branch) for branch in branches}
    plain = all(not (isinstance(branch, dict) and "logicalType" in branch) for branch in branches)
    return next((wide for narrow, wide in _WIDER if plain and kinds == narrow), None)


class PlainForm:
    """The plain form of one schema; equal types in other schemas have the same form."""

    def __init__(self, named: dict[str, Avro], defaults: bool = False) -> None:
        self._named = named
        self._defaults = defaults
        self._defined: set[str] = set()

    def of(self, avro: Avro, path: str) -> Avro:
        """The plain form; `path` leads to it from the named type that it is in."""
        if isinstance(avro, list):
            return self._union(avro, path)
        if isinstance(avro, str):
            return self._primitive(avro, path)
        kind = avro["type"]
        if not isinstance(kind, str):
            return self.of(kind, path)
        if kind == "array":
            return {"type": "array", "items": self.of(avro["items"], f"{path}[]")}
        if kind == "map":
            return {"type": "map", "values": self.of(avro["values"], f"{path}[]")}
        return self._definition(avro, path) if "name" in avro else self._primitive(kind, path)

    def _primitive(self, name: str, path: str) -> Avro:
        if name in PLAIN:
            return "bytes" if name == "string" else name
        return self._definition(self._named[name], path)

    def _definition(self, avro: Avro, path: str) -> Avro:
        name = avro["name"]
        if name in self._defined:
            return name
        self._defined.add(name)
        kept = {key: avro[key] for key in _KEPT if key in avro}
        if "fields" not in avro:
            return kept
        fields = [self._field(each, f"{name}.{each['name']}") for each in avro["fields"]]
        return {**kept, "type": "record", "fields": fields}

    def _field(self, field: Avro, path: str) -> Avro:
        plain = {"name": field["name"], "type": self.of(field["type"], path)}
        if "aliases" in field:
            plain["aliases"] = field["aliases"]
        if self._defaults and "default" in field:
            with suppress(_NoPlainDefault):
                plain["default"] = self._default(field["type"], field["default"])
        return plain

    def _default(self, avro: Avro, value: Any) -> Any:
        """The default of a type in its plain form; that of a union is of its first branch."""
        if isinstance(avro, list):
            branches = branches_of(avro)
            found = self._default(avro[0], value)
            wrapped = len(branches) > 1 and widest(branches) is None and avro[0] in branches
            return {"member0": found} if wrapped else found
        if isinstance(avro, str):
            known = avro in PLAIN
            return _plain_default(avro, value) if known else self._default(self._named[avro], value)
        if avro["type"] == "array":
            return [self._default(avro["items"], each) for each in value]
        if avro["type"] == "map":
            return {key: self._default(avro["values"], each) for key, each in value.items()}
        if "fields" not in avro:
            return _plain_default(avro["type"], value)
        fields = {each["name"]: each for each in avro["fields"]}
        return {
            name: self._default(each["type"], value.get(name, each.get("default")))
            for name, each in fields.items()
        }

    def _union(self, union: list[Avro], path: str) -> Avro:
        branches = branches_of(union)
        if len(branches) < 2 or widest(branches) is not None:
            return [self.of(each, path) for each in union]
        return [self._branch(each, branches, path) for each in union]

    def _branch(self, branch: Avro, branches: list[Avro], path: str) -> Avro:
        if branch not in branches:
            return "null"
        member = f"member{branches.index(branch)}"
        place = f"{path}.{member}"
        return {
            "type": "record",
            "name": f"chronon_beam_branch_{_NO_NAME.sub('_', place)}",
            "fields": [{"name": member, "type": self.of(branch, place)}],
        }


class _NoPlainDefault(ValueError):
    """A default of bytes that fastavro cannot give.

    JSON writes bytes as characters, and fastavro gives these as they are: beyond ASCII they would
    become other bytes. A record that lacks the field cannot be read then.
    """


def _plain_default(kind: str, value: Any) -> Any:
    if kind in ("bytes", "fixed") and not value.isascii():
        raise _NoPlainDefault(value)
    return value
