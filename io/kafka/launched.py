"""Kafka in a template: the events' form is known when it is built, and their place at launch."""

from dataclasses import replace

from chronon_beam.io.kafka.options import KafkaOptions, parse_options


def without_place(options: KafkaOptions) -> KafkaOptions:
    """The options without brokers, topics and borders; raises ValueError if reading ends."""
    if options.bounded:
        raise ValueError(
            "a template's job never ends: leave out stop=, or run the job with chronon-beam run"
        )
    return KafkaOptions("", (), format=options.format, ddl=options.ddl)


def launched_options(built: KafkaOptions, uri: str) -> KafkaOptions:
    """The options of a launch's URI, with the format and schema of the template.

    Args:
        built: what `without_place` gives.
        uri: the URI of the launch, which need not repeat schema, format and the serde's parameters.

    Raises:
        ValueError: the URI is wrong, or differs from the template in schema or format.
    """
    given = parse_options(uri)
    if given.bounded:
        raise ValueError(f"--source={uri}: a template's job never ends: leave out stop=")
    if given.ddl not in (None, built.ddl):
        raise _others(uri, "schema")
    if given.format.name not in ("json", built.format.name):
        raise _others(uri, "format")
    parameters = {**given.format.parameters}
    if "subject=" not in uri:  # then `parse_options` has made a subject of the topic
        parameters.pop("subject", None)
    for name, value in parameters.items():
        if built.format.parameters.get(name) != value:
            raise _others(uri, name)
    return replace(given, format=built.format, ddl=built.ddl)


def _others(uri: str, parameter: str) -> ValueError:
    return ValueError(
        f"--source={uri}: {parameter}= differs from what the template was built for: leave it out, "
        "or build another template with it"
    )
