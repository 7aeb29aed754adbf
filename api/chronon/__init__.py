"""Chronon's own definitions: the names that their files import, and what these names make."""
