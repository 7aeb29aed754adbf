"""What is wrong with a query, in its author's terms: Spark's words without stacks and plans."""

import contextlib
import re
from collections.abc import Iterator
from typing import Any

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.logger import PySparkLogger

SPARK_ERRORS = (PySparkException, Py4JJavaError)
"""What pyspark raises when its JVM refuses something (not when the JVM is gone)."""

EVENT = "__event"
"""Hidden int column: the position of the event in the input batch."""

_LOGGERS = ("SQLQueryContextLogger", "DataFrameQueryContextLogger")


class QueryError(ValueError):
    """A select, where, setup or schema that cannot be used; the message says which and why."""


def spark_reason(error: Exception) -> str:
    """Spark's own message: suggestions and carets stay, plan dumps and Java stacks go."""
    java: Any = getattr(error, "java_exception", None)  # what pyspark did not translate
    text = str(error if java is None else java.toString())
    text = text.split("\n\nJVM stacktrace:")[0].strip()
    text = re.sub(rf"(, )?`{EVENT}`", "", text)
    if "== SQL" in text:
        return text
    return text.split("\n")[0].rstrip("; ")


def error_condition(error: Exception) -> str:
    """Spark's name of the error, such as `ROUTINE_ALREADY_EXISTS`; empty if it has none."""
    return (isinstance(error, PySparkException) and error.getCondition()) or ""


@contextlib.contextmanager
def unlogged() -> Iterator[None]:
    """Keeps pyspark from logging an error, with its Java stack, that we raise in better words."""
    loggers = [PySparkLogger.getLogger(name) for name in _LOGGERS]
    before = [logger.disabled for logger in loggers]
    for logger in loggers:
        logger.disabled = True
    try:
        yield
    finally:
        for logger, disabled in zip(loggers, before, strict=True):
            logger.disabled = disabled
