"""What differs between the two Chronons."""

import pickle

import pytest

from chronon_beam.api.dialect import AIRBNB, DIALECTS, ZIPLINE, Dialect, Operation, clashing_ids


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=lambda dialect: dialect.name)
def test_dialect_is_itself_after_pickling(dialect: Dialect) -> None:
    assert pickle.loads(pickle.dumps(dialect)) is dialect


def test_only_these_ids_clash() -> None:
    assert clashing_ids() == {
        18: (Operation.APPROX_HISTOGRAM_K, Operation.APPROX_FREQUENT_K),
        19: (Operation.BOUNDED_UNIQUE_COUNT, Operation.APPROX_HEAVY_HITTERS_K),
        20: (None, Operation.UNIQUE_TOP_K),
    }


def test_airbnb_numbers_repeated_names_of_records_and_fields_together() -> None:
    names = AIRBNB.names()
    assert names.record("AvgIr", ("a",)) == "AvgIr"
    assert names.field("sum") == "sum"
    assert names.record("AvgIr", ("b",)) == "AvgIr_REPEATED_NAME_0"
    assert names.field("sum") == "sum_REPEATED_NAME_0"
    assert names.field("sum") == "sum_REPEATED_NAME_1"
    assert names.field("AvgIr") == "AvgIr_REPEATED_NAME_1"


def test_airbnb_replaces_what_avro_forbids() -> None:
    assert AIRBNB.names().record("TimePair_map<a,b>", ()) == "TimePair_map_a_b_"


def test_zipline_puts_the_path_before_records_and_leaves_fields() -> None:
    names = ZIPLINE.names()
    assert names.record("AvgIr", ("collapsedIr", "d_average")) == "collapsedIr_d_average_AvgIr"
    assert names.record("AvgIr", ("collapsedIr", "e_average")) == "collapsedIr_e_average_AvgIr"
    assert [names.field("sum"), names.field("sum")] == ["sum", "sum"]


def test_names_of_two_schemas_do_not_meet() -> None:
    assert AIRBNB.names().field("a") == AIRBNB.names().field("a")
