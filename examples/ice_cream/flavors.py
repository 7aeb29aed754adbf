"""How many cones of a flavor are sold in 6 hours?"""

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

flavors = GroupBy(
    sources=Source(
        events=EventSource(
            query=Query(
                selects=select(flavor="ice_cream_flavor", cone="ice_cream_cone_size"),
                time_column="created",
            )
        )
    ),
    keys=["flavor"],
    aggregations=[
        Aggregation(
            input_column="cone",
            operation=Operation.COUNT,
            windows=[Window(length=6, timeUnit=TimeUnit.HOURS)],
        ),
    ],
)
