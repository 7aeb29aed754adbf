"""The metadata of a Flex Template for Dataflow: its parameters, made from the flags of `run`.

Dataflow checks a launch against them before it starts anything. The patterns are POSIX's extended
regular expressions, which Dataflow takes.
"""

from argparse import Action, ArgumentParser
from collections.abc import Iterator

from chronon_beam.pipeline.run_flags import add_run_flags

Json = dict[str, object]

_LEFT_OUT = ("help", "group_by", "dialect", "runner", "runner_config", "max_dead", "allow_unread")
"""Flags that the template decides, or that have no meaning for a job that never ends."""

_HOSTS = "[^/@?,]+:[0-9]{1,5}(,[^/@?,]+:[0-9]{1,5})*"
_TIME = "[0-9]{1,9}(ms|s|m)"
_PATTERNS = {
    "source": f"kafka://{_HOSTS}/[^/?]+([?].*)?|"
    "pubsub://[^/?]+/(subscriptions|topics)/[^/?]+([?].*)?",
    "kafka_bootstrap": _HOSTS,
    "latency": f"low|balanced|cheap|{_TIME}",
    "store": "[a-z][a-z0-9+.-]*:.+",
    "trigger": "every_event|buffered:[0-9]{1,9}(ms)?",
    "dead_letters": "[a-z][a-z0-9+.-]*:.+",
}
"""The values of flags that are neither a choice nor a number, as regular expressions."""


def flags_of_a_launch() -> list[Action]:
    """The flags of `run` that a launch of the template may give."""
    parser = ArgumentParser(allow_abbrev=False)
    add_run_flags(parser)
    return [each for each in parser._actions if each.dest not in _LEFT_OUT]


def metadata(group_by: str) -> Json:
    """The metadata of the template of a GroupBy, which Dataflow shows and checks.

    Args:
        group_by: its name.
    """
    return {
        "name": group_by,
        "description": f"Computes the tiles of the Chronon GroupBy {group_by} from live events.",
        "streaming": True,
        "supportsAtLeastOnce": False,
        "supportsExactlyOnce": True,
        "parameters": [_parameter(flag) for flag in flags_of_a_launch()],
    }


def image_spec(image: str, group_by: str) -> Json:
    """The file that a launch names, `gs://.../template.json`.

    Args:
        image: the name under which the template's image is pushed.
        group_by: the name of the GroupBy.
    """
    return {
        "image": image,
        "sdkInfo": {"language": "PYTHON"},
        "metadata": metadata(group_by),
        "defaultEnvironment": {
            "sdkContainerImage": image,
            "enableStreamingEngine": True,
            "additionalExperiments": ["use_runner_v2"],
        },
    }


def pattern(flag: Action) -> str:
    """What the value of a flag looks like, as a POSIX extended regular expression.

    Raises:
        KeyError: `_PATTERNS` lacks the flag.
    """
    if flag.choices is not None:
        return f"^({'|'.join(map(str, flag.choices))})$"
    return f"^({'[0-9]{1,15}' if flag.type is int else _PATTERNS[flag.dest]})$"


def _parameter(flag: Action) -> Json:
    return {
        "name": flag.dest,
        "label": flag.dest.replace("_", " ").capitalize(),
        "helpText": f"{_help(flag)}.",
        "isOptional": not flag.required,
        "regexes": [pattern(flag)],
        **dict(_kind(flag)),
    }


def _help(flag: Action) -> str:
    text = (flag.help or "") % {**vars(flag), "prog": "run"}
    return f"{text[0].upper()}{text[1:]}"


def _kind(flag: Action) -> Iterator[tuple[str, object]]:
    """What a form needs to know to ask for the value."""
    if flag.choices is not None:
        yield "paramType", "ENUM"
        yield "enumOptions", [{"value": str(each), "label": str(each)} for each in flag.choices]
    else:
        yield "paramType", "NUMBER" if flag.type is int else "TEXT"
    if flag.default is not None:
        yield "defaultValue", str(flag.default)
