"""How many orders has a customer made in the last hour, which flavor was the last, and when?"""

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

_HOUR = [Window(1, TimeUnit.HOURS)]

by_customer = GroupBy(
    sources=Source(
        events=EventSource(
            query=Query(
                selects=select("customer_id", "flavor", ordered="created"),
                time_column="created",
            )
        )
    ),
    keys=["customer_id"],
    aggregations=[
        Aggregation("flavor", Operation.COUNT, windows=_HOUR),
        Aggregation("flavor", Operation.LAST, windows=_HOUR),
        Aggregation("ordered", Operation.LAST, windows=_HOUR),
    ],
    online=True,
)
