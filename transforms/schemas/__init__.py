"""Schemas of messages: registries, schema files, and the columns that a schema gives."""
