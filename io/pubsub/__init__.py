"""The `pubsub:` source: acknowledges messages when the runner keeps what was made of them."""
