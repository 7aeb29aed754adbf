"""How late are the flights of an airline from an airport, by carrier and origin?

The data is of the flights that left New York on 1 to 3 January 2013: see README.md beside this.
"""

from chronon_beam.api import (
    Aggregation,
    EventSource,
    GroupBy,
    Operation,
    Query,
    Source,
    TimeUnit,
    Window,
    select,
)

SIX_HOURS = Window(length=6, timeUnit=TimeUnit.HOURS)
ONE_DAY = Window(length=1, timeUnit=TimeUnit.DAYS)

delays = GroupBy(
    name="flights.delays",
    sources=Source(
        events=EventSource(
            query=Query(
                selects=select(
                    "carrier",
                    "origin",
                    "dep_delay",
                    "arr_delay",
                    "tailnum",
                    flight="concat(carrier, ' ', flight, ' to ', upper(dest))",
                    length="CASE WHEN distance < 800 THEN 'short' ELSE 'long' END",
                ),
                wheres=["dep_delay IS NOT NULL"],
                time_column="unix_millis(CAST(time_hour AS TIMESTAMP)) "
                "+ (minute + dep_delay) * 60000",
            )
        )
    ),
    keys=["carrier", "origin"],
    aggregations=[
        Aggregation("flight", Operation.COUNT, windows=[SIX_HOURS, ONE_DAY]),
        Aggregation("arr_delay", Operation.AVERAGE, windows=[SIX_HOURS, ONE_DAY]),
        Aggregation("dep_delay", Operation.MAX, windows=[SIX_HOURS]),
        Aggregation("dep_delay", Operation.AVERAGE, windows=[ONE_DAY], buckets=["length"]),
        Aggregation("tailnum", Operation.UNIQUE_COUNT, windows=[ONE_DAY]),
        Aggregation("flight", Operation.LAST_K(3), windows=[ONE_DAY]),
    ],
)
