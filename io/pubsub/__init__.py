"""The `pubsub:` source: messages are acknowledged when the runner keeps what came of them."""
