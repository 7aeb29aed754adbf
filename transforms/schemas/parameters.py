"""Reads the parameters that several serdes have, such as where the schema is."""

from collections.abc import Mapping, Sequence

from chronon_beam.transforms.schemas.registry import (
    BUILD_WAIT_S,
    RegisteredSchema,
    Registry,
)


def choice(parameters: Mapping[str, str], name: str, values: Sequence[str], default: str) -> str:
    """The value of a parameter that must be one of `values`, or the default.

    >>> choice({"framing": "none"}, "framing", ("confluent", "none"), "confluent")
    'none'

    Raises:
        ValueError: the parameter has another value.
    """
    given = parameters.get(name, default)
    if given not in values:
        raise ValueError(f"{name}={given}: one of {', '.join(values)} is expected")
    return given


def one_of(parameters: Mapping[str, str], names: Sequence[str], where: str) -> str:
    """The one of several parameters that is given.

    >>> one_of({"proto": "shop.proto"}, ("proto", "registry"), "format protobuf")
    'proto'

    Raises:
        ValueError: none of the parameters is given, or more than one.
    """
    given = [name for name in names if name in parameters]
    if len(given) != 1:
        found = " and ".join(f"{name}=" for name in given) or "none"
        listed = ", ".join(f"{name}=" for name in names)
        raise ValueError(f"{where}: one of {listed} is expected, found {found}")
    return given[0]


def registry_of(parameters: Mapping[str, str]) -> Registry:
    """The registry that `registry=` and `registry_config=` name; raises as `Registry` does."""
    return Registry(parameters["registry"], parameters.get("registry_config"))


def latest_schema(parameters: Mapping[str, str], kind: str) -> RegisteredSchema:
    """The newest schema of a subject, which must be of one kind, for example `AVRO`.

    Raises:
        ValueError: as `newest_schema`, or the schema is of another kind.
        RegistryDown: the registry does not answer.
    """
    found = newest_schema(parameters)
    if found.kind != kind:
        raise ValueError(
            f"subject={parameters['subject']}: its schema is of the kind {found.kind}: give "
            f"format={found.kind.lower()}"
        )
    return found


def newest_schema(parameters: Mapping[str, str]) -> RegisteredSchema:
    """The newest schema of the subject that `subject=` names; for the build of a job.

    Args:
        parameters: hold `registry` and `subject`.

    Raises:
        ValueError: no subject is given, or the registry does not have it.
        RegistryDown: the registry does not answer.
    """
    registry = registry_of(parameters)
    subject = parameters.get("subject")
    if not subject:
        raise ValueError(
            "registry=: name the subject of the schema with subject=, often TOPIC-value; of "
            "several topics one that has the columns of all"
        )
    client = registry.connect(BUILD_WAIT_S)
    try:
        return client.latest(subject)
    finally:
        client.close()
