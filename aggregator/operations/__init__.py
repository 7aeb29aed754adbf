"""Chronon's operations, one file per family; `table` finds the one that a declaration names."""
