"""One subscription, by Google's client: the calls of the source, and what their errors mean."""

import difflib
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

import grpc
from google.api_core import exceptions
from google.auth.exceptions import GoogleAuthError
from google.cloud.pubsub_v1 import SubscriberClient
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport
from google.pubsub_v1.types import PullRequest, PullResponse

from chronon_beam.io.pubsub.leases import EXTENDED_S
from chronon_beam.io.pubsub.options import PubsubOptions

_WITHIN_S = 10.0
_PULL_S = 30.0
_IDS_PER_CALL = 2500
"""A request of more bytes than 512 KiB is refused; an id has less than 200."""

WAITED_FOR = (
    exceptions.ServiceUnavailable,
    exceptions.DeadlineExceeded,
    exceptions.RetryError,
    exceptions.InternalServerError,
    exceptions.TooManyRequests,
    exceptions.Aborted,
    exceptions.Unknown,
)
"""Errors that end by themselves."""


class Subscription:
    """The calls to one subscription.

    Attributes:
        path: Google's name of the subscription.
    """

    def __init__(self, options: PubsubOptions, reader: str) -> None:
        self._options = options
        self.path = options.subscription_path(reader)
        try:
            # Two clients, so that the pulls under way can be ended first when the reader closes.
            self._puller, self._client = _client(), _client()
        except GoogleAuthError as error:
            raise ConnectionError(f"Pub/Sub needs an account: {error}") from None

    def check(self) -> None:
        """Find out whether the subscription exists; if a topic is given, make its subscription.

        Raises:
            ConnectionError: Pub/Sub does not answer, or refuses the account.
            ValueError: there is no such subscription or topic, or it cannot be pulled from.
        """
        try:
            self._check_kind(self._find_or_make())
        except (*WAITED_FOR, GoogleAuthError) as error:
            raise ConnectionError(
                f"Pub/Sub does not answer: {error}. Check the network and the account: gcloud "
                "auth application-default login, or $GOOGLE_APPLICATION_CREDENTIALS"
            ) from None
        except exceptions.PermissionDenied:
            return  # an account that may pull need not have the right to look; a pull shows it

    def _find_or_make(self) -> Any:
        call = {"timeout": _WITHIN_S, "retry": None}
        try:
            return self._client.get_subscription(subscription=self.path, **call)
        except exceptions.NotFound:
            topic = self._options.topic_path
            if topic is None:
                raise ValueError(
                    f"Pub/Sub has no {self.path}: {self._nearest()}; or give a topic: "
                    f"pubsub://{self._options.project}/topics/NAME"
                ) from None
        try:
            request = {"name": self.path, "topic": topic, "ack_deadline_seconds": EXTENDED_S}
            return self._client.create_subscription(request=request, **call)
        except exceptions.NotFound:
            raise ValueError(f"Pub/Sub has no {topic}") from None

    def _check_kind(self, found: Any) -> None:
        if found.push_config.push_endpoint or found.bigquery_config or found.cloud_storage_config:
            raise ValueError(
                f"{self.path} is not there to be pulled from, since its messages go elsewhere: "
                "make another subscription of the topic"
            )
        topic = self._options.topic_path
        if topic not in (None, found.topic):
            raise ValueError(
                f"{self.path} is a subscription of {found.topic}, and not of {topic}: give the "
                "subscription to read, as pubsub://PROJECT/subscriptions/NAME"
            )

    def _nearest(self) -> str:
        names: list[str] = []
        project = f"projects/{self._options.project}"
        with suppress(exceptions.GoogleAPICallError):
            listed = self._client.list_subscriptions(project=project, timeout=_WITHIN_S)
            names = [each.name.rpartition("/")[2] for each in listed]
        near = difflib.get_close_matches(self.path.rpartition("/")[2], names, n=5, cutoff=0.0)
        return f"the nearest are {', '.join(near)}" if near else "there is none that can be seen"

    def pull(self, most: int) -> Sequence[Any]:
        """Google's ReceivedMessages: waits up to 30 s for the first one; empty if none comes.

        Raises:
            ConnectionError: Pub/Sub does not answer for now.
            PermissionError: Pub/Sub refuses the pull, or the subscription was deleted.
        """
        request = PullRequest(subscription=self.path, max_messages=most)
        try:
            answer = self._puller.pull(request=request, timeout=_PULL_S, retry=None)
        except exceptions.DeadlineExceeded:
            return ()
        except (*WAITED_FOR, GoogleAuthError) as error:
            raise ConnectionError(f"Pub/Sub does not answer: {error}") from None
        except exceptions.GoogleAPICallError as error:
            raise PermissionError(f"Pub/Sub refuses to give {self.path}: {error}") from None
        return PullResponse.pb(answer).received_messages

    def extend(self, ack_ids: Sequence[str]) -> None:
        """Extend the leases of messages; raises ConnectionError."""
        self._modify(ack_ids, EXTENDED_S)

    def give_back(self, ack_ids: Sequence[str]) -> None:
        """End the leases now, so that any reader may get the messages; raises ConnectionError."""
        self._modify(ack_ids, 0)

    def acknowledge(self, ack_ids: Sequence[str]) -> None:
        """Tell the server not to give the messages again; raises ConnectionError."""
        for part in _parts(ack_ids):
            self._call(self._client.acknowledge, {"ack_ids": part})

    def end_pulls(self) -> None:
        """End the pulls under way, which raise ConnectionError; later pulls do so as well."""
        self._puller.close()

    def close(self) -> None:
        """Close the connections."""
        self._puller.close()
        self._client.close()

    def _modify(self, ack_ids: Sequence[str], seconds: int) -> None:
        for part in _parts(ack_ids):
            request = {"ack_ids": part, "ack_deadline_seconds": seconds}
            self._call(self._client.modify_ack_deadline, request)

    def _call(self, call: Any, request: dict[str, Any]) -> None:
        try:
            call(request={"subscription": self.path, **request}, timeout=_WITHIN_S)
        except (exceptions.GoogleAPICallError, exceptions.RetryError, GoogleAuthError) as error:
            raise ConnectionError(f"Pub/Sub does not answer: {error}") from None
        except ValueError as error:  # what grpc raises if the channel is closed
            raise ConnectionError(str(error)) from None


def _client() -> SubscriberClient:
    """Google's client; with an emulator, one that takes answers of more than 4 MiB."""
    emulator = os.environ.get("PUBSUB_EMULATOR_HOST")
    if not emulator:
        return SubscriberClient()
    channel = grpc.insecure_channel(emulator, [("grpc.max_receive_message_length", -1)])
    return SubscriberClient(transport=SubscriberGrpcTransport(channel=channel))


def _parts(ack_ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(ack_ids), _IDS_PER_CALL):
        yield ack_ids[start : start + _IDS_PER_CALL]
