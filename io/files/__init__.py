"""The `file:` source, and the formats of files."""
