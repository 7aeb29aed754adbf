"""Refuses differences of two versions of a schema that Avro's rules of resolution would read wrong.

Avro's rules compare plain types only. A `timestamp-millis` that another version calls
`timestamp-micros` would become a time in 1970, and a decimal of another scale another number.
Unions of several types are read as structs of their branches, which only their order tells apart.
"""

from chronon_beam.api.formats.avro_plain import Avro, branches_of, widest


def refuse_other_meanings(writer: Avro, reader: Avro) -> None:
    """Compare two schemas of records, as fastavro parsed them.

    Raises:
        ValueError: a field has one logical type where it is written, and another one where it is
            read, or its union has other types; the message names the field.
    """
    _Versions(_definitions(writer), _definitions(reader)).compare(writer, reader, "", set())


class _Versions:
    """Both schemas' named types, which are mentioned by name after their definition."""

    def __init__(self, written: dict[str, Avro], read: dict[str, Avro]) -> None:
        self._written = written
        self._read = read

    def compare(self, writer: Avro, reader: Avro, path: str, seen: set[str]) -> None:
        if (theirs := _several(writer)) != (ours := _several(reader)):
            raise ValueError(
                f"field {path!r} is written as {_described(theirs)} and read as {_described(ours)}"
            )
        writer, reader = _alone(writer, self._written), _alone(reader, self._read)
        if not isinstance(writer, dict) or not isinstance(reader, dict):
            return
        ours, theirs = _meaning(reader), _meaning(writer)
        if ours and theirs and ours != theirs:
            raise ValueError(f"field {path!r} is written as {theirs} and read as {ours}")
        for part in ("items", "values"):
            if part in writer and part in reader:
                self.compare(writer[part], reader[part], f"{path}[]", seen)
        if "fields" in writer and "fields" in reader and reader["name"] not in seen:
            self._compare_fields(writer, reader, path, {*seen, reader["name"]})

    def _compare_fields(self, writer: Avro, reader: Avro, path: str, seen: set[str]) -> None:
        written = {each["name"]: each["type"] for each in writer["fields"]}
        for field in reader["fields"]:
            names = [field["name"], *field.get("aliases", ())]
            kind = next((written[name] for name in names if name in written), None)
            if kind is not None:
                place = f"{path}.{field['name']}".lstrip(".")
                self.compare(kind, field["type"], place, seen)


def _several(avro: Avro) -> list[str]:
    """The types of a union that becomes a struct; none of any other type."""
    branches = branches_of(avro) if isinstance(avro, list) else []
    if len(branches) < 2 or widest(branches) is not None:
        return []
    return [
        each if isinstance(each, str) else str(each.get("name", each["type"])) for each in branches
    ]


def _described(types: list[str]) -> str:
    return f"a union of {', '.join(types)}" if types else "one type"


def _alone(avro: Avro, named: dict[str, Avro]) -> Avro:
    """The type itself: without the null of a union, and a name's definition."""
    if isinstance(avro, list):
        branches = branches_of(avro)
        return _alone(branches[0], named) if len(branches) == 1 else None
    if isinstance(avro, str):
        return named.get(avro)
    kind = avro["type"]
    return _alone(kind, named) if not isinstance(kind, str) or kind in named else avro


def _meaning(avro: Avro) -> str:
    """The logical type, with the digits of a decimal; empty for a plain type."""
    name = avro.get("logicalType", "")
    return f"{name}, scale {avro.get('scale', 0)}" if name == "decimal" else name


def _definitions(avro: Avro) -> dict[str, Avro]:
    """All definitions in a schema, by name."""
    if isinstance(avro, list):
        return {name: each for branch in avro for name, each in _definitions(branch).items()}
    if not isinstance(avro, dict):
        return {}
    found = {avro["name"]: avro} if "name" in avro and "type" in avro else {}
    inner = [avro[part] for part in ("items", "values", "type") if part in avro]
    for each in [*inner, *(field["type"] for field in avro.get("fields", ()))]:
        found |= _definitions(each)
    return found
