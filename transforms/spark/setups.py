"""Setups: statements that run before a query is planned, to define the functions it uses."""

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname
from zipfile import ZipFile

from chronon_beam.transforms.spark.errors import (
    SPARK_ERRORS,
    QueryError,
    error_condition,
    spark_reason,
)
from chronon_beam.transforms.spark.java_value import JavaValue

_HIVE_FUNCTION = re.compile(
    r"\s*CREATE\s+(OR\s+REPLACE\s+)?(TEMPORARY\s+)?FUNCTION\s+(IF\s+NOT\s+EXISTS\s+)?\S+\s+AS\s*['\"]",
    re.IGNORECASE,
)
_FUNCTION = re.compile(
    r"\s*CREATE\s+(OR\s+REPLACE\s+)?(?P<temporary>TEMPORARY\s+)?FUNCTION\s+"
    r"(IF\s+NOT\s+EXISTS\s+)?(?P<name>[\w.`]+)",
    re.IGNORECASE,
)
_ADD_JAR = re.compile(r"\s*ADD\s+JARS?\s+(.+)", re.IGNORECASE | re.DOTALL)
_USING_JAR = re.compile(r"\bJAR\s+('[^']*'|\"[^\"]*\")", re.IGNORECASE)


def needs_hive(setup: str) -> bool:
    """Whether the statement makes a function of a class, for which Spark needs its Hive catalog.

    >>> needs_hive("CREATE TEMPORARY FUNCTION f AS 'com.example.F'")
    True
    >>> needs_hive("CREATE TEMPORARY FUNCTION f(x INT) RETURNS INT RETURN x + 1")
    False
    """
    return _HIVE_FUNCTION.match(setup) is not None


def local_jars(setup: str) -> list[str]:
    """The jars on this machine that the statement names.

    >>> local_jars("ADD JAR /opt/a.jar")
    ['/opt/a.jar']
    >>> local_jars("CREATE FUNCTION f AS 'F' USING JAR 's3://x/b.jar', JAR 'file:///opt/c.jar'")
    ['/opt/c.jar']
    """
    added = _ADD_JAR.match(setup)
    quoted = [added[1].rstrip().rstrip(";")] if added else _USING_JAR.findall(setup)
    urls = [urlsplit(path) for text in quoted for path in shlex.split(text)]
    return [url2pathname(url.path) for url in urls if url.scheme in ("", "file")]


def check_jars(setups: Iterable[str]) -> None:
    """Check that the jars exist: Spark itself would only log that a jar is missing.

    Raises:
        QueryError: naming the statement and the file.
    """
    for setup in setups:
        for jar in local_jars(setup):
            if not Path(jar).is_file():
                raise QueryError(f"setup `{setup}`: there is no file {jar} on this machine")


def refuse_other_functions(setups: Mapping[str, Sequence[str]]) -> None:
    """Refuse setups of several GroupBys that define one name in two ways.

    Temporary functions belong to one GroupBy. Other functions, and classes in jars, are shared by
    all GroupBys of a JVM: the first definition of a name would replace the others.

    Args:
        setups: of each GroupBy, by its name.

    Raises:
        QueryError: two GroupBys define a function, or a class, in two ways.
    """
    check_jars(setup for each in setups.values() for setup in each)
    seen: dict[str, tuple[str, object]] = {}
    for group_by, statements in setups.items():
        for name, meaning in (found for each in statements for found in _definitions(each)):
            other, known = seen.setdefault(name, (group_by, meaning))
            if known != meaning:
                raise QueryError(
                    f"{group_by} and {other} define {name} in two ways, and one job has one JVM: "
                    "rename one of them, or run the two as two jobs"
                )


def _definitions(setup: str) -> Iterator[tuple[str, object]]:
    """The names that a statement defines for all queries of a JVM, each with its definition."""
    if (function := _FUNCTION.match(setup)) and not function["temporary"]:
        yield f"function {function['name'].lower()}", " ".join(setup.split())
    for jar in local_jars(setup):
        with ZipFile(jar) as opened:
            for each in opened.infolist():
                if each.filename.endswith(".class"):
                    yield f"class {each.filename[:-6].replace('/', '.')}", each.CRC


def run_setup(session: JavaValue, setup: str) -> None:
    """Run the statement in the JVM's session; a function that exists already stays as it is.

    Raises:
        QueryError: if the statement fails.
    """
    try:
        session.sql(setup)
    except SPARK_ERRORS as error:
        if not error_condition(error).endswith("_ALREADY_EXISTS"):
            raise QueryError(f"setup `{setup}`: {spark_reason(error)}") from None
