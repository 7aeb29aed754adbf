"""Tiling: from rows to tiles, and the life of a tile."""
