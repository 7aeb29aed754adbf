"""The serde `registry`: `avro`, `protobuf` or `json`, whichever the schema in a registry is.

Parameters:

- `registry`: the URL of a schema registry, and `subject`, whose latest schema decides (default for
  a Kafka topic: `TOPIC-value`);
  `registry_config`: a properties file (see `transforms.schemas.registry_client`);
- any other that the serde of the schema's kind has.

Source: zipline's `SchemaRegistrySerDe`, for Avro and Protobuf.
"""

from collections.abc import Mapping

from chronon_beam.api.serde import Format, SerDe
from chronon_beam.transforms import serdes
from chronon_beam.transforms.schemas.parameters import newest_schema


def open_serde(parameters: Mapping[str, str]) -> SerDe:
    """The serde of the schema's kind.

    Raises:
        ValueError: `registry` or `subject` is missing, or a parameter is wrong.
        OSError: the registry does not answer.
    """
    if "registry" not in parameters:
        raise ValueError("format registry: give registry=URL, and subject= where it has no default")
    kind = newest_schema(parameters).kind.lower()
    return serdes.open_serde(Format(kind, parameters))
