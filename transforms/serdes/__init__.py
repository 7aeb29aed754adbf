"""Serdes: what turns the bytes of messages into columns."""
