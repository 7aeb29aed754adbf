"""What is to be evaluated on every event: selects and wheres in Spark SQL."""

from collections import Counter
from dataclasses import dataclass

import pyarrow as pa

from chronon_beam.transforms.spark.errors import EVENT, QueryError


@dataclass(frozen=True)
class SqlQuery:
    """A query on single events; hashable, picklable, not checked before it is compiled.

    Attributes:
        selects: (name, Spark SQL expression), the time column among them as `ts`; one of them may
            be a generator such as `explode(x)`, which makes several rows of an event, or none.
        wheres: conditions that all must be true; a name means the select first, then the input.
        setups: statements to run before, for example `CREATE TEMPORARY FUNCTION ...`.
        schema: the columns that events have. A query reads those that it names, so the others may
            be of any type (see `api.formats.refused`), or have a name twice.
        columns: names of the selects to output, in order; the others serve the wheres.
        labels: (where, what errors call it), of wheres that the user did not write.
    """

    selects: tuple[tuple[str, str], ...]
    wheres: tuple[str, ...]
    setups: tuple[str, ...]
    schema: pa.Schema
    columns: tuple[str, ...]
    labels: tuple[tuple[str, str], ...] = ()

    def where_label(self, where: str) -> str:
        """What errors call one of the wheres."""
        return dict(self.labels).get(where, f"where {where}")


def check_names(query: SqlQuery) -> None:
    """Checks what needs no Spark: the names that the query gives and asks for.

    Raises:
        QueryError: if a name is taken twice, reserved, or not selected.
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
    """Spark's names do not differ by case."""
    for name, count in Counter(name.lower() for name in names).items():
        if count > 1:
            same = [each for each in names if each.lower() == name]
            raise QueryError(
                f"select `{name}` is there {count} times ({', '.join(same)}), and Spark's names "
                "do not differ by case: rename all but one"
            )
