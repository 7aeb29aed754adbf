"""What every `KVStore` must do, as tests that each store runs, also a store of your own.

    import pytest
    pytest.register_assert_rewrite("chronon_beam.io.testing")
    from chronon_beam.io.testing import KVStoreContract

    class TestMyStore(KVStoreContract):
        @pytest.fixture
        def store(self):
            store = open_store("mine:...")
            yield store
            store.close()

Each test uses datasets of its own, so that all may share one store.
"""

import asyncio
import random
import uuid
from concurrent.futures import ThreadPoolExecutor

from chronon_beam.api.records import GetRequest, PutRequest, StoredValue, TimedValue
from chronon_beam.io.kv_store import KVStore, MemoryStore

HOUR = 3_600_000
DAY = 24 * HOUR
NOON = 1_700_049_600_000
"""A noon of the year 2023, UTC."""


def tile(dataset: str, key: bytes, start_ms: int, value: bytes, size_ms: int = HOUR) -> PutRequest:
    """A tile to write."""
    return PutRequest(key, value, dataset, start_ms + 5, start_ms, size_ms)


def row(dataset: str, key: bytes, ts_ms: int, value: bytes, position: str = "") -> PutRequest:
    """An untiled row to write."""
    return PutRequest(key, value, dataset, ts_ms, ts_ms, 0, position)


def dataset_of_its_own(suffix: str = "STREAMING") -> str:
    """A name that no other test uses."""
    return f"CONTRACT_{uuid.uuid4().hex[:12].upper()}_{suffix}"


class KVStoreContract:
    """Subclass it, and give it a pytest fixture `store`.

    Attributes:
        takes_times_before_1970: whether the store can keep a tile that starts then. If not, such
            a request is given back with a reason.
    """

    takes_times_before_1970 = True

    def test_values_are_those_whose_time_is_in_the_range_sorted_by_time(
        self, store: KVStore
    ) -> None:
        """The range is closed at its start and open at its end."""
        name = dataset_of_its_own()
        puts = [tile(name, b"k", NOON + t * HOUR, b"%d" % t) for t in (3, 30, 2, 1)]
        assert store.multi_put(puts) == [None] * 4
        asked = GetRequest(b"k", name, NOON + HOUR, NOON + 3 * HOUR, HOUR)
        assert store.multi_get([asked, asked._replace(start_ms=NOON, end_ms=NOON + HOUR)]) == [
            [TimedValue(b"1", NOON + HOUR), TimedValue(b"2", NOON + 2 * HOUR)],
            [],
        ]

    def test_range_of_all_time_finds_everything_and_an_empty_one_nothing(
        self, store: KVStore
    ) -> None:
        """Unbounded features ask for all time."""
        name = dataset_of_its_own()
        store.multi_put([tile(name, b"k", t * DAY, b"%d" % t, DAY) for t in (0, 9, 700, 20_000)])
        store.multi_put([tile(name, b"k#", DAY, b"other", DAY)])
        store.multi_put([tile(name, b"k#0", DAY, b"other", DAY), tile(name, b"k", 0, b"hour")])
        always = GetRequest(b"k", name, -(1 << 62), 1 << 62, DAY)
        never = always._replace(start_ms=NOON, end_ms=NOON)
        found = store.multi_get([always, never])
        assert [value.value_bytes for value in found[0]] == [b"0", b"9", b"700", b"20000"]
        assert found[1] == []

    def test_answers_come_in_the_order_of_the_requests(self, store: KVStore) -> None:
        """Whatever their datasets, keys and sizes are, and also when one is asked twice."""
        names = [dataset_of_its_own(), dataset_of_its_own("BATCH"), dataset_of_its_own("OTHER")]
        keys = [b"b", b"a", b"", b"c"]
        puts = [
            tile(name, key, NOON, name[-9:].encode() + key, size)
            for name in names
            for key in keys
            for size in ((1,) if name.endswith("_BATCH") else (HOUR, DAY))
        ]
        assert set(store.multi_put(puts)) == {None}
        random.Random(1).shuffle(puts)
        asked = [*puts, *puts[:3]]
        found = store.multi_get(
            [GetRequest(p.key_bytes, p.dataset, NOON, NOON + 1, p.tile_size_ms) for p in asked]
        )
        assert found == [[TimedValue(put.value_bytes, NOON)] for put in asked]

    def test_reading_on_an_event_loop_gives_the_same(self, store: KVStore) -> None:
        """`multi_get_async` and `multi_get`."""
        name = dataset_of_its_own()
        store.multi_put([tile(name, b"%d" % i, NOON, b"v%d" % i) for i in range(50)])
        asked = [GetRequest(b"%d" % i, name, NOON, NOON + 1, HOUR) for i in range(55)]

        async def read() -> list[list[list[TimedValue]]]:
            return await asyncio.gather(*(store.multi_get_async(asked[i::2]) for i in range(2)))

        expected = store.multi_get(asked)
        assert asyncio.run(read()) == [expected[0::2], expected[1::2]]
        assert len([values for values in expected if values]) == 50

    def test_unknown_key_and_dataset_have_no_values(self, store: KVStore) -> None:
        """Neither is an error."""
        name, other = dataset_of_its_own(), dataset_of_its_own("UNHEARD_OF")
        store.create(name)
        asked = GetRequest(b"k", name, 0, NOON, HOUR)
        assert store.multi_get([asked, asked._replace(dataset=other)]) == [[], []]
        assert list(store.scan(name)) == list(store.scan(other)) == []

    def test_last_write_of_a_tile_wins_within_and_across_batches(self, store: KVStore) -> None:
        """Also in a batch that writes it many times."""
        name = dataset_of_its_own()
        asked = GetRequest(b"k", name, NOON, NOON + 1, HOUR)
        store.multi_put([tile(name, b"k", NOON, b"%d" % i) for i in range(20)])
        assert store.multi_get([asked]) == [[TimedValue(b"19", NOON)]]
        store.multi_put([tile(name, b"k", NOON, b"c")])
        assert store.multi_get([asked]) == [[TimedValue(b"c", NOON)]]

    def test_tiles_of_several_sizes_and_keys_do_not_touch_each_other(self, store: KVStore) -> None:
        """They begin at the same time, and keys are any bytes."""
        name = dataset_of_its_own()
        keys = [b"", b"k", b"k\0", b"k#", b"k#0", b"k#0#3600000", b"\xff\xfe", b"k\n", b"K"]
        puts = [
            tile(name, key, 0, key + b"=%d" % size, size) for key in keys for size in (HOUR, DAY)
        ]
        assert set(store.multi_put(puts)) == {None}
        found = store.multi_get(
            [GetRequest(put.key_bytes, name, 0, DAY, put.tile_size_ms) for put in puts]
        )
        assert found == [[TimedValue(put.value_bytes, 0)] for put in puts]

    def test_rows_of_one_time_stand_side_by_side_and_a_repeated_write_adds_none(
        self, store: KVStore
    ) -> None:
        """Their positions tell them apart."""
        name = dataset_of_its_own()
        rows = [
            row(name, b"k", NOON + 5, b"a", "f@1"),
            row(name, b"k", NOON + 5, b"a", "f@2"),
            row(name, b"k", NOON + 4, b"c", "f@3"),
        ]
        for _ in range(2):
            store.multi_put(rows)
        assert store.multi_get([GetRequest(b"k", name, NOON, NOON + 9, 0)]) == [
            [TimedValue(b"c", NOON + 4), TimedValue(b"a", NOON + 5), TimedValue(b"a", NOON + 5)]
        ]

    def test_rows_without_a_position_are_never_replaced(self, store: KVStore) -> None:
        """Nobody can tell that they are the same."""
        name = dataset_of_its_own()
        store.multi_put([row(name, b"k", NOON, b"a"), row(name, b"k", NOON, b"a")])
        assert len(store.multi_get([GetRequest(b"k", name, NOON, NOON + 1, 0)])[0]) == 2

    def test_times_before_1970_are_kept_or_given_back(self, store: KVStore) -> None:
        """A request that cannot be kept does not hinder the others."""
        name = dataset_of_its_own()
        puts = [tile(name, b"k", -HOUR, b"old"), tile(name, b"k", 0, b"new")]
        before, after = store.multi_put(puts)
        assert after is None
        assert (before is None) == self.takes_times_before_1970
        (found,) = store.multi_get([GetRequest(b"k", name, -DAY, DAY, HOUR)])
        assert found[-1] == TimedValue(b"new", 0)
        assert len(found) == (2 if self.takes_times_before_1970 else 1)

    def test_values_of_any_bytes_and_size(self, store: KVStore) -> None:
        """Empty, binary, and a megabyte."""
        name = dataset_of_its_own()
        values = [b"", bytes(range(256)), b"\0", random.Random(1).randbytes(1 << 20)]
        puts = [tile(name, b"%d" % i, NOON, value) for i, value in enumerate(values)]
        assert store.multi_put(puts) == [None] * len(puts)
        asked = [GetRequest(put.key_bytes, name, NOON, NOON + 1, HOUR) for put in puts]
        assert store.multi_get(asked) == [[TimedValue(value, NOON)] for value in values]

    def test_scan_gives_every_value_once(self, store: KVStore) -> None:
        """Of this dataset, and in any order."""
        name, other = dataset_of_its_own(), dataset_of_its_own()
        puts = [tile(name, b"k#%d" % (i % 40), NOON + i * HOUR, b"%d" % i) for i in range(120)]
        puts += [tile(name, b"", 0, b"day", DAY), row(name, b"k", NOON, b"r", "p")]
        store.multi_put([*puts, tile(other, b"a", NOON, b"x")])
        assert sorted(store.scan(name)) == sorted(
            StoredValue(p.key_bytes, p.tile_size_ms, TimedValue(p.value_bytes, p.tile_start_ms))
            for p in puts
        )

    def test_drop_lets_go_of_one_dataset(self, store: KVStore) -> None:
        """Of tiles and rows, and of no other's; what is not there is dropped, too."""
        name = dataset_of_its_own()
        other = f"{name}_BEFORE"
        puts = [tile(name, b"k", NOON + i * DAY, b"v") for i in range(3)] + [row(name, b"", 0, b"")]
        store.multi_put([*puts, tile(other, b"k", NOON, b"kept")])
        assert not store.is_empty(name)
        for _ in range(2):
            store.drop(name)
            assert store.is_empty(name)
        assert list(store.scan(other)) == [StoredValue(b"k", HOUR, TimedValue(b"kept", NOON))]
        store.multi_put([tile(name, b"k", NOON, b"new")])
        assert list(store.scan(name)) == [StoredValue(b"k", HOUR, TimedValue(b"new", NOON))]

    def test_one_batch_may_write_to_several_datasets(self, store: KVStore) -> None:
        """Datasets are made by writing to them."""
        names = [dataset_of_its_own(), dataset_of_its_own("BATCH"), dataset_of_its_own("OTHER")]
        assert store.multi_put([tile(n, b"k", NOON, n.encode(), 1) for n in names]) == [None] * 3
        for name in names:
            assert list(store.scan(name)) == [StoredValue(b"k", 1, TimedValue(name.encode(), NOON))]

    def test_batch_values_of_one_key_stand_side_by_side_by_their_end(self, store: KVStore) -> None:
        """While a new batch is being written, readers still find the old one."""
        name = dataset_of_its_own("BATCH")
        store.multi_put([tile(name, b"k", NOON + day * DAY, b"%d" % day, 1) for day in (0, 1)])
        asked = [GetRequest(b"k", name, t, t + 1, 1) for t in (NOON, NOON + DAY, NOON + 2 * DAY)]
        assert [[v.value_bytes for v in values] for values in store.multi_get(asked)] == [
            [b"0"],
            [b"1"],
            [],
        ]

    def test_nothing_to_do_is_fine(self, store: KVStore) -> None:
        """Empty batches, and a dataset that exists."""
        name = dataset_of_its_own()
        store.create(name)
        store.create(name)
        assert store.multi_put([]) == []
        assert store.multi_get([]) == []

    def test_threads_write_and_read_at_a_time(self, store: KVStore) -> None:
        """Each finds what it has written."""
        name = dataset_of_its_own()
        store.create(name)

        def work(thread: int) -> None:
            for batch in range(5):
                puts = [tile(name, b"%d-%d-%d" % (thread, batch, i), NOON, b"v") for i in range(20)]
                assert store.multi_put(puts) == [None] * 20
                asked = [GetRequest(p.key_bytes, name, NOON, NOON + 1, HOUR) for p in puts]
                assert store.multi_get(asked) == [[TimedValue(b"v", NOON)]] * 20

        with ThreadPoolExecutor(4) as threads:
            list(threads.map(work, range(4)))
        assert sum(1 for _ in store.scan(name)) == 400

    def test_holds_what_a_dictionary_would(self, store: KVStore) -> None:
        """Drawn batches of tiles and rows, against the memory store."""
        for seed in range(10):
            chance, name = random.Random(seed), dataset_of_its_own()
            model = MemoryStore(name)
            for _ in range(3):
                puts = [_drawn(chance, name) for _ in range(chance.randrange(40))]
                assert store.multi_put(puts) == model.multi_put(puts)
            assert sorted(store.scan(name)) == sorted(model.scan(name))
            asked = [_asked(chance, name) for _ in range(20)]
            assert store.multi_get(asked) == model.multi_get(asked)
            MemoryStore.forget(name)


_KEYS = (b"", b"a", b"a\0", b"a#1", b"b")


def _drawn(chance: random.Random, name: str) -> PutRequest:
    key, value = chance.choice(_KEYS), chance.randbytes(chance.randrange(4))
    start_ms = chance.randrange(60) * HOUR
    if chance.random() < 0.3:
        return row(name, key, start_ms, value, chance.choice("pqr"))
    return tile(name, key, start_ms, value, chance.choice((HOUR, DAY)))


def _asked(chance: random.Random, name: str) -> GetRequest:
    start_ms, end_ms = (chance.randrange(60) * HOUR for _ in range(2))
    return GetRequest(chance.choice(_KEYS), name, start_ms, end_ms, chance.choice((0, HOUR, DAY)))
