"""`chronon-beam trace`."""

from command_line import EVENTS, ICE_CREAM, Cli


def test_trace_follows_each_event(chronon_beam: Cli) -> None:
    ran = chronon_beam("trace", ICE_CREAM, EVENTS)
    assert (ran.code, ran.err) == (0, "")
    first, _, third = ran.objects
    assert first["position"].endswith("events.jsonl@1")
    assert first["1_source"]["ice_cream_flavor"] == "chocolate"
    assert third["2_evaluate"] == {"customer_id": "Alice", "flavor": "olive oil", "ts": 1500}
    assert third["3_window"]["key"] == {"customer_id": "Alice"}
    assert third["3_window"]["pre_aggregates"] == {
        "customer_id_count": 2,
        "flavor_last": "olive oil",
    }
    request = third["4_convert"]["PutRequest"]
    assert (request["dataset"], request["tsMillis"]) == (
        "ICE_CREAM_GROUP_BY_ICE_CREAM_GROUP_BY_STREAMING",
        1500,
    )
    assert third["5_write"]["tile_start_ms"] == 0
