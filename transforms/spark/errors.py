"""Errors of queries for their authors: Spark's own messages, without Java stacks and plans."""

import contextlib
import re
from collections.abc import Iterator
from typing import Any

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.logger import PySparkLogger

SPARK_ERRORS = (PySparkException, Py4JJavaError)
"""What pyspark raises when its JVM refuses something; not what it raises if the JVM has ended."""

EVENT = "__event"
"""Hidden int column: the position of the event in the input batch."""

_LOGGERS = ("SQLQueryContextLogger", "DataFrameQueryContextLogger")


class QueryError(ValueError):
    """A select, where, setup or schema that cannot be used; the message says which and why."""


def spark_reason(error: Exception) -> str:
    """Spark's own message with its suggestions and carets, without plan dumps and Java stacks."""
    java: Any = getattr(error, "java_exception", None)  # what pyspark did not translate
    text = str(error if java is None else java.toString())
    text = text.split("\n\nJVM stacktrace:")[0].strip()
    text = re.sub(rf"(, )?`{EVENT}`", "", text)
    if "== SQL" in text:
        return text
    return text.split("\n")[0].rstrip("; ")


def error_condition(error: Exception) -> str:
    """Spark's name of the error, such as `ROUTINE_ALREADY_EXISTS`; empty if there is no name."""
    return (isinstance(error, PySparkException) and error.getCondition()) or ""


@contextlib.contextmanager
def quiet_pyspark() -> Iterator[None]:
    """Keep pyspark from logging errors with Java stacks, which the caller raises as QueryErrors."""
    loggers = [PySparkLogger.getLogger(name) for name in _LOGGERS]
    before = [logger.disabled for logger in loggers]
    for logger in loggers:
        logger.disabled = True
    try:
        yield
    finally:
        for logger, disabled in zip(loggers, before, strict=True):
            logger.disabled = disabled
