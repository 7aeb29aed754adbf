"""What a `pubsub:` URI says: a subscription, or a topic, and what its messages are."""

import re
from dataclasses import dataclass

from chronon_beam.api.serde import Format
from chronon_beam.io.live import readers_of
from chronon_beam.io.uri import duration_ms, parse_uri

KNOWN = ("schema", "format", "readers", "remember")
"""The parameters of the URI; what else it has is for the serde that `format` names."""

_PLACE = re.compile(r"//(?P<project>[^/]+)/(?P<kind>subscriptions|topics)/(?P<name>[^/]+)")
_LEAST_REMEMBER_MS = 60_000


@dataclass(frozen=True)
class PubsubOptions:
    """All that a `pubsub:` URI says.

    Attributes:
        project: Google's id of the project.
        subscription: its name; None if a topic is given.
        topic: its name; None if a subscription is given.
        format: which serde the messages need, with its parameters.
        ddl: the columns of the messages, if the user gives them.
        readers: how many clients share the subscription; None: the parallelism of the job.
        remember_ms: how long the job knows, while it runs, that a message has been counted.
    """

    project: str
    subscription: str | None = None
    topic: str | None = None
    format: Format = Format("json")
    ddl: str | None = None
    readers: int | None = None
    remember_ms: int = 600_000

    def subscription_path(self, reader: str) -> str:
        """Google's name of the subscription; of a topic's, the one that is named after `reader`."""
        return f"projects/{self.project}/subscriptions/{self.subscription or reader}"

    @property
    def topic_path(self) -> str | None:
        """Google's name of the topic."""
        return self.topic and f"projects/{self.project}/topics/{self.topic}"


def parse_options(uri: str) -> PubsubOptions:
    """The options in `pubsub://PROJECT/subscriptions/NAME[?NAME=VALUE&...]`.

    >>> parse_options("pubsub://shop/topics/orders?remember=1h").remember_ms
    3600000

    Raises:
        ValueError: what is wrong with it, and how to write it.
    """
    parsed = parse_uri(uri)
    place = _PLACE.fullmatch(parsed.location)
    if place is None:
        raise ValueError(
            f"{uri!r} must name a project and a subscription, or a topic: write for example "
            "pubsub://my-project/subscriptions/orders"
        )
    given = parsed.parameters
    others = {name: value for name, value in given.items() if name not in KNOWN}
    return PubsubOptions(
        place["project"],
        place["name"] if place["kind"] == "subscriptions" else None,
        place["name"] if place["kind"] == "topics" else None,
        Format(given.get("format", "json"), others),
        given.get("schema"),
        readers_of(given),
        _remember_ms(given.get("remember", "10m")),
    )


def _remember_ms(text: str) -> int:
    remember_ms = duration_ms(text)
    if remember_ms < _LEAST_REMEMBER_MS:
        raise ValueError(f"remember={text}: at least 1m is expected, as messages come again later")
    return remember_ms
