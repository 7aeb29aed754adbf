"""A store for a feature server: GroupBys with tiles and batch values, and reads that can fail."""

from declarations import group_by, windows

from chronon_beam.aggregator.batch_ir import FinalBatchIr
from chronon_beam.aggregator.plan import Plan
from chronon_beam.api import Aggregation, Derivation, Operation
from chronon_beam.api.data_types import DOUBLE, LONG, STRING
from chronon_beam.api.derivations import Derivation as JoinDerivation
from chronon_beam.api.join import Join, JoinPart
from chronon_beam.api.records import GetRequest, PutRequest, TimedValue
from chronon_beam.fetcher import serving_info
from chronon_beam.fetcher.batch_info import BatchInfo, batch_request, save_batch
from chronon_beam.fetcher.serving_info import ServingInfo
from chronon_beam.io.kv_store import KVStore, MemoryStore

DAY_MS = 86_400_000
AT_MS = 2 * DAY_MS + 3_600_000
TYPES = {"user": STRING, "shop": LONG, "n": DOUBLE}
ANN = {"user": "Ann", "shop": 1}
STREAMED = {"n_sum_1h": 4.0, "n_sum_7d": 4.0}
MERGED = {"n_sum_1h": 4.0, "n_sum_7d": 104.0}
BATCH_ALONE = {"n_sum_1h": None, "n_sum_7d": 100.0}
NOTHING = {"n_sum_1h": None, "n_sum_7d": None}


def plan(name: str, dialect: str = "airbnb", derivations: list[Derivation] | None = None) -> Plan:
    """Of GroupBy `name`: sums of an hour and of seven days."""
    aggregations = [Aggregation("n", Operation.SUM, windows("1h", "7d"))]
    keys = ["user", "shop"]
    declared = group_by(name, keys, aggregations, dialect=dialect, derivations=derivations)
    return Plan(declared, TYPES)


def put_tiles(store: KVStore, made: Plan, key: dict[str, object], number: float = 4.0) -> None:
    """What a job writes of one event at AT_MS, and of itself."""
    serving_info.write(store, ServingInfo(made, tiled=True))
    key_bytes = made.keys.encode([key[name] for name in made.group_by.keys])
    for spec in made.specs:
        aggregator = made.row_aggregator(spec)
        tile = aggregator.zero()
        aggregator.update(tile, [number], AT_MS)
        start_ms = AT_MS // spec.size_ms * spec.size_ms - spec.size_ms
        dataset = made.group_by.streaming_dataset
        value = made.tiles.encode(tile)
        put = PutRequest(key_bytes, value, dataset, AT_MS, start_ms, spec.size_ms)
        assert store.multi_put([put]) == [None]


def put_batch(store: KVStore, made: Plan, key: dict[str, object], end_ms: int = DAY_MS) -> None:
    """What an upload writes of 100.0 on the day before the batch's end."""
    batch = BatchInfo(made, end_ms)
    key_bytes = made.keys.encode([key[name] for name in made.group_by.keys])
    ir = FinalBatchIr([None, 100.0], [[], [], []])
    assert store.multi_put([batch_request(batch, key_bytes, made.batch_irs.encode(ir))]) == [None]
    save_batch(store, batch)


class Breakable(MemoryStore):
    """A store in memory whose reads fail for datasets that end in one of `broken`."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.broken: tuple[str, ...] = ()

    def multi_get(self, requests: list[GetRequest]) -> list[list[TimedValue]]:
        ends = tuple(each for each in self.broken if each)
        for each in requests:
            if ends and each.dataset.endswith(ends):
                raise ConnectionError(f"{each.dataset} is away")
        return super().multi_get(requests)


def filled(name: str) -> Breakable:
    """A store with GroupBys `t.tiles`, `t.both` of tiles and batch values, `z.tiles`, `z.both`."""
    store = Breakable(name)
    store.create("CHRONON_METADATA")
    for each in (plan("t.tiles"), plan("z.tiles", "zipline")):
        put_tiles(store, each, ANN)
    for each in (plan("t.both"), plan("z.both", "zipline")):
        put_tiles(store, each, ANN)
        put_batch(store, each, ANN)
    return store


def with_derivations(name: str, dialect: str) -> Plan:
    """A GroupBy with a rename and a derivation that needs Spark."""
    derivations = [Derivation("sum", "n_sum_1h"), Derivation("half", "n_sum_1h / 2")]
    return plan(name, dialect, derivations)


def join(
    name: str,
    dialect: str = "airbnb",
    short: str = "t",
    derivations: tuple[JoinDerivation, ...] = (),
) -> Join:
    """Of `both`, and of `tiles` for the user that is a `buyer`."""
    both, tiles = (plan(f"{short}.{each}", dialect).group_by for each in ("both", "tiles"))
    parts = (
        JoinPart(both, long_names=True),
        JoinPart(tiles, (("buyer", "user"),), "bought", long_names=True),
    )
    return Join(name, parts, derivations=derivations, online=True, dialect=both.dialect)
