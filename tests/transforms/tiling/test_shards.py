"""Rows as they cross the shuffle."""

from decimal import Decimal

from chronon_beam.transforms.tiling.shards import ShardBatch


def test_rows_come_back_also_with_decimals_in_them() -> None:
    plain = ShardBatch("file", [(b"\x02", 1, 0, "text", 2.5, None, [1], {"a": b"x"})], [7])
    priced = ShardBatch("file", [(b"\x02", 1, 0, Decimal("1.10"), {"a": [Decimal(3)]})])
    assert ShardBatch.unpack(plain.pack()) == plain
    assert ShardBatch.unpack(priced.pack()) == priced
