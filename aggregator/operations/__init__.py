"""Chronon's aggregations, one file a family; `table` finds the one that a declaration names."""
