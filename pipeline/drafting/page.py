"""Writes a draft as a Python file that declares the GroupBy."""

from chronon_beam.pipeline.drafting.draft import Draft


def as_python(made: Draft, source: str) -> str:
    """The text of a Python file that declares the GroupBy of a draft.

    Args:
        made: the draft.
        source: where the events are, for the first line of the file.
    """
    widths = [max(len(row[at]) for row in made.remarks) for at in (0, 1)]
    remarks = "\n".join(
        f"    {name:<{widths[0]}}  {kind:<{widths[1]}}  {what}" for name, kind, what in made.remarks
    )
    selects = [
        _select(alias, text)
        for alias, text in {**made.keys, **{i.alias: i.expression for i in made.inputs[1:]}}.items()
    ]
    operations = [
        f'        Aggregation("{each.alias}", Operation.{operation}, windows=WINDOWS),'
        for each in made.inputs
        for operation in each.operations
    ]
    return _PAGE.format(
        source=source.replace("\\", "/").replace('"""', "'''"),
        remarks=remarks.replace("\\", "/").replace('"""', "'''"),
        variable=made.variable,
        selects="\n".join(selects),
        time=_text(made.time.expression),
        keys=", ".join(_text(key) for key in made.keys),
        aggregations="\n".join(operations),
    )


def _select(alias: str, expression: str) -> str:
    return f"                    {alias}={_text(expression)},"


def _text(value: str) -> str:
    """A Python literal in double quotes, as the rest of the file has them."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


_PAGE = '''"""Features of {source}

Drafted by `chronon-beam init` from the columns of the first events:

{remarks}
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

WINDOWS = [Window(length=1, timeUnit=TimeUnit.DAYS), Window(length=7, timeUnit=TimeUnit.DAYS)]

{variable} = GroupBy(
    sources=Source(
        events=EventSource(
            query=Query(
                selects=select(
{selects}
                ),
                # Milliseconds since the epoch, UTC, in Spark SQL.
                time_column={time},
            )
        )
    ),
    keys=[{keys}],
    aggregations=[
{aggregations}
    ],
)
'''
