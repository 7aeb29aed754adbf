"""The query that is evaluated on every event: selects and wheres in Spark SQL."""

from collections import Counter
from dataclasses import dataclass

import pyarrow as pa

from chronon_beam.transforms.spark.errors import EVENT, QueryError


@dataclass(frozen=True)
class SqlQuery:
    """A query on single events; hashable, picklable, not checked before it is compiled.

    Attributes:
        selects: (name, Spark SQL expression) pairs; one of them is the time column, as `ts`. One of
            them may be a generator such as `explode(x)`, which makes any number of rows per event.
        wheres: conditions that all must be true. A name in them is a select if there is one with
            this name, else an input column.
        setups: statements to run before, for example `CREATE TEMPORARY FUNCTION ...`.
        schema: the columns of the events. A query reads the columns that it names, so other columns
            may be of any type (see `api.formats.refused`), and two may have one name.
        columns: the names of the selects to output, in order; wheres may use the other selects.
        labels: (where, name in errors) pairs, for wheres that the user did not write.
    """

    selects: tuple[tuple[str, str], ...]
    wheres: tuple[str, ...]
    setups: tuple[str, ...]
    schema: pa.Schema
    columns: tuple[str, ...]
    labels: tuple[tuple[str, str], ...] = ()

    def where_label(self, where: str) -> str:
        """The name of one of the wheres in errors."""
        return dict(self.labels).get(where, f"where {where}")


def check_names(query: SqlQuery) -> None:
    """Check the names in a query, before Spark is started.

    Raises:
        QueryError: two selects have one name, or a name is reserved or not selected.
    """
    names = [name for name, _ in query.selects]
    _refuse_twice(names)
    for name in (*names, *query.schema.names):
        if name.lower() == EVENT:
            raise QueryError(f"the name `{name}` is reserved for the event's position: rename it")
    missing = [name for name in query.columns if name not in names]
    if missing:
        raise QueryError(
            f"column `{missing[0]}` is asked for but not selected; selects are: "
            f"{', '.join(names) or 'none'}"
        )


def _refuse_twice(names: list[str]) -> None:
    """Refuse two selects whose names are equal or differ by case only."""
    for name, count in Counter(name.lower() for name in names).items():
        if count > 1:
            same = [each for each in names if each.lower() == name]
            raise QueryError(
                f"select `{name}` is there {count} times ({', '.join(same)}), and Spark's names "
                "do not differ by case: rename all but one"
            )
