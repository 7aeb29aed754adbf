"""Tiles of a changed GroupBy as Java's Avro reads them, which Chronon's Fetcher uses."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import declarations
import pytest

from chronon_beam.aggregator.codecs import complete
from chronon_beam.aggregator.plan import Plan
from chronon_beam.api import Aggregation, Operation
from chronon_beam.api.data_types import LONG, STRING
from chronon_beam.fetcher.changes import FormerRuns, save
from chronon_beam.fetcher.serving_info import ServingInfo
from chronon_beam.io.kv_store import MemoryStore
from chronon_beam.transforms.spark.session import local_spark

SIX = declarations.windows("6h")
SUM, COUNT, AVERAGE = (
    Aggregation("n", each, SIX) for each in (Operation.SUM, Operation.COUNT, Operation.AVERAGE)
)
NAME = Aggregation("name", Operation.MAX, SIX)
TYPES = {"user": STRING, "n": LONG, "name": STRING, "ts": LONG}


@pytest.fixture
def store() -> MemoryStore:
    MemoryStore.forget("changes_for_java")
    return MemoryStore("changes_for_java")


def tiles_of(store: MemoryStore, *aggregations: Aggregation) -> Plan:
    """What writes the tiles of a GroupBy from now on."""
    source = declarations.events("user", "n", "name")
    declared = declarations.group_by("t.java", ["user"], aggregations, sources=source)
    return save(
        store, ServingInfo(Plan(declared, TYPES), tiled=True), FormerRuns(state=True, query=True)
    ).plan


def read_by_java(plan: Plan, tiles: Sequence[bytes]) -> Iterator[Any]:
    """Each tile by one reader and one decoder, used again and again as in Chronon's AvroCodec."""
    jvm = local_spark().gateway.jvm
    avro = jvm.org.apache.avro
    parsed = avro.Schema.Parser().parse(json.dumps(plan.tiles.schema))
    reader, decoder = avro.generic.GenericDatumReader(parsed), None
    for tile in tiles:
        stream = avro.file.SeekableByteArrayInput(tile)
        decoder = avro.io.DecoderFactory.get().directBinaryDecoder(stream, decoder)
        yield json.loads(reader.read(None, decoder).toString())


def test_javas_reader_of_the_newest_tiles_does_not_see_their_version(store: MemoryStore) -> None:
    """`isComplete` is false while a tile is open; its version is the byte behind that."""
    tiles_of(store, SUM)
    tiles_of(store, SUM, NAME)
    newest = tiles_of(store, NAME, AVERAGE, COUNT)
    text = "é \x00" * 40
    tiles = [newest.tiles.encode(ir) for ir in ([text, (7.5, 2), 1 << 40], ["", None, 0])]
    tiles += [complete(tile) for tile in tiles]
    assert {tile[-1] for tile in tiles} == {3}
    found = [(tile["collapsedIr"], tile["isComplete"]) for tile in read_by_java(newest, tiles)]
    expected = [
        {"name_max": text, "n_average": {"sum": 7.5, "count": 2}, "n_count": 1 << 40},
        {"name_max": "", "n_average": None, "n_count": 0},
    ]
    assert found == [(ir, closed) for closed in (False, True) for ir in expected]


def test_tiles_from_before_a_change_are_written_anew_for_java(store: MemoryStore) -> None:
    """What the job does with open tiles of the version before: Java reads them in the end."""
    old = tiles_of(store, SUM)
    newest = tiles_of(store, NAME, SUM)
    tiles = newest.tiles.upgraded([old.tiles.encode([5])])
    (found,) = read_by_java(newest, tiles)
    assert found == {"collapsedIr": {"name_max": None, "n_sum": 5}, "isComplete": False}
