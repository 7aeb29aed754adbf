"""The feature server: features over HTTP, in both of Chronon's dialects."""
