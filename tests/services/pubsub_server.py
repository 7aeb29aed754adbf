"""A Pub/Sub server: Google's emulator where its SDK is installed, and one in this process.

No registry of packages has the emulator, so the tests bring the second one: the calls that the
source makes, over real gRPC, with the semantics that Google documents for them (a message is given
again when its lease ends, or when it is given back).
"""

import os
import shutil
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import grpc
from apache_beam.utils.subprocess_server import pick_port
from google.cloud.pubsub_v1 import PublisherClient, SubscriberClient
from google.protobuf import empty_pb2
from google.pubsub_v1 import types

from chronon_beam.pipeline.runners import guard
from chronon_beam.transforms.spark.java_runtime import java_environment

START_TIMEOUT_S = 60.0
_SDK = "platform/pubsub-emulator/lib/cloud-pubsub-emulator-*.jar"


_ANY_SIZE = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


class PubsubServer(Protocol):
    """What tests need of a server.

    Attributes:
        host: `localhost:port`, for $PUBSUB_EMULATOR_HOST.
    """

    host: str

    def stop(self) -> None:
        """End it."""


def emulator_jar() -> Path | None:
    """Google's emulator on this machine."""
    gcloud = shutil.which("gcloud")
    if gcloud is None:
        return None
    return next(iter(sorted(Path(gcloud).resolve().parents[1].glob(_SDK))), None)


class PubsubEmulator:
    """Google's, started by the constructor; keeps all in memory."""

    def __init__(self, jar: Path, directory: Path) -> None:
        (port,) = pick_port(None)
        self.host = f"localhost:{port}"
        self._log = directory / "pubsub_emulator.log"
        java = ["java", "-Xmx300m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
        command = [*java, "-jar", str(jar), "--host=localhost", f"--port={port}"]
        self._process = guard.start(command, self._log, java_environment())
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._answers():
            if time.monotonic() > deadline or self._process.poll() is not None:
                self.stop()
                raise TimeoutError(f"the Pub/Sub emulator does not start: see {self._log}")

    def stop(self) -> None:
        """End it."""
        guard.stop(self._process)

    def _answers(self) -> bool:
        with suppress(grpc.FutureTimeoutError), grpc.insecure_channel(self.host) as channel:
            grpc.channel_ready_future(channel).result(timeout=1)
            return True
        return False


class _Delivery:
    """A message of a subscription: waiting, or leased until `ends_at` under `ack_id`."""

    def __init__(self, message: Any) -> None:
        self.message = message
        self.ack_id = ""
        self.ends_at = 0.0


class ServedPubsub:
    """One in this process.

    Attributes:
        deliveries: how many messages were given, those that were given again too.
    """

    def __init__(self) -> None:
        self.deliveries = 0
        self._changed = threading.Condition()
        self._subscriptions: dict[str, Any] = {}
        self._left: dict[str, list[_Delivery]] = {}
        self._topics: set[str] = set()
        self._ids = 0
        self._server = grpc.server(ThreadPoolExecutor(16), options=_ANY_SIZE)
        self._server.add_generic_rpc_handlers((self._publisher(), self._subscriber()))
        self.host = f"localhost:{self._server.add_insecure_port('localhost:0')}"
        self._server.start()

    def stop(self) -> None:
        """End it."""
        self._server.stop(None).wait()

    def left(self) -> int:
        """How many messages are not acknowledged."""
        return sum(map(len, self._left.values()))

    def _publisher(self) -> grpc.GenericRpcHandler:
        return _service(
            "Publisher",
            CreateTopic=(self._create_topic, types.Topic, types.Topic),
            Publish=(self._publish, types.PublishRequest, types.PublishResponse),
        )

    def _subscriber(self) -> grpc.GenericRpcHandler:
        listed = types.ListSubscriptionsRequest, types.ListSubscriptionsResponse
        return _service(
            "Subscriber",
            CreateSubscription=(self._create, types.Subscription, types.Subscription),
            GetSubscription=(self._get, types.GetSubscriptionRequest, types.Subscription),
            ListSubscriptions=(self._list, *listed),
            Pull=(self._pull, types.PullRequest, types.PullResponse),
            Acknowledge=(self._acknowledge, types.AcknowledgeRequest, None),
            ModifyAckDeadline=(self._modify, types.ModifyAckDeadlineRequest, None),
        )

    def _create_topic(self, request: Any, context: grpc.ServicerContext) -> Any:
        self._topics.add(request.name)
        return request

    def _publish(self, request: Any, context: grpc.ServicerContext) -> Any:
        ids = []
        with self._changed:
            for message in request.messages:
                self._ids += 1
                ids.append(str(self._ids))
                message.message_id = ids[-1]
                message.publish_time = {"seconds": int(time.time())}
                for path, subscription in self._subscriptions.items():
                    if subscription.topic == request.topic:
                        self._left[path].append(_Delivery(message))
            self._changed.notify_all()
        return types.PublishResponse(message_ids=ids)

    def _create(self, request: Any, context: grpc.ServicerContext) -> Any:
        if request.topic not in self._topics:
            context.abort(grpc.StatusCode.NOT_FOUND, "no such topic")
        self._subscriptions[request.name] = request
        self._left[request.name] = []
        return request

    def _get(self, request: Any, context: grpc.ServicerContext) -> Any:
        if request.subscription not in self._subscriptions:
            context.abort(grpc.StatusCode.NOT_FOUND, "no such subscription")
        return self._subscriptions[request.subscription]

    def _list(self, request: Any, context: grpc.ServicerContext) -> Any:
        of_project = [
            each for each in self._subscriptions.values() if each.name.startswith(request.project)
        ]
        return types.ListSubscriptionsResponse(subscriptions=of_project)

    def _pull(self, request: Any, context: grpc.ServicerContext) -> Any:
        self._get(request, context)
        with self._changed:
            while context.is_active():
                if found := self._leased(request.subscription, request.max_messages):
                    return types.PullResponse(received_messages=found)
                self._changed.wait(0.1)
        return types.PullResponse()

    def _leased(self, path: str, most: int) -> list[Any]:
        now = time.monotonic()
        free = [each for each in self._left[path] if each.ends_at <= now][:most]
        self.deliveries += len(free)
        for each in free:
            each.ack_id = uuid.uuid4().hex
            each.ends_at = now + (self._subscriptions[path].ack_deadline_seconds or 10)
        return [types.ReceivedMessage(ack_id=each.ack_id, message=each.message) for each in free]

    def _acknowledge(self, request: Any, context: grpc.ServicerContext) -> Any:
        ids = set(request.ack_ids)
        with self._changed:
            left = self._left[request.subscription]
            left[:] = [each for each in left if each.ack_id not in ids]
        return empty_pb2.Empty()

    def _modify(self, request: Any, context: grpc.ServicerContext) -> Any:
        ids = set(request.ack_ids)
        with self._changed:
            for each in self._left[request.subscription]:
                if each.ack_id in ids:
                    each.ends_at = time.monotonic() + request.ack_deadline_seconds
            self._changed.notify_all()
        return empty_pb2.Empty()


def _service(name: str, **methods: tuple[Callable[..., Any], Any, Any]) -> grpc.GenericRpcHandler:
    handlers = {
        method: grpc.unary_unary_rpc_method_handler(
            work,
            request_deserializer=request.deserialize,
            response_serializer=answer.serialize if answer else empty_pb2.Empty.SerializeToString,
        )
        for method, (work, request, answer) in methods.items()
    }
    return grpc.method_handlers_generic_handler(f"google.pubsub.v1.{name}", handlers)


class Topic:
    """A new topic of the project `shop`, on the server that $PUBSUB_EMULATOR_HOST names.

    Attributes:
        name: its name.
    """

    def __init__(self) -> None:
        assert "PUBSUB_EMULATOR_HOST" in os.environ
        self.name = f"orders-{uuid.uuid4().hex[:8]}"
        self._client = PublisherClient()
        self._path = self._client.topic_path("shop", self.name)
        self._client.create_topic(name=self._path)

    def subscribe(self, path: str, lease_s: int) -> None:
        """Make a subscription whose messages are leased for so long."""
        request = {"name": path, "topic": self._path, "ack_deadline_seconds": lease_s}
        with SubscriberClient() as client:
            client.create_subscription(request=request)

    def publish(self, payloads: list[bytes], **attributes: str) -> list[str]:
        """Publish messages; their ids."""
        futures = [self._client.publish(self._path, each, **attributes) for each in payloads]
        return [future.result(60) for future in futures]
