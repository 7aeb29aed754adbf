"""The edges: sources, KV stores, dead letters."""
