"""The local Spark of this process: it plans queries, and evaluates them in its JVM.

It is started at the first use. If the user's own code runs a Spark in this process, that Spark is
used instead, by sessions of its own, so that its settings and the user's do not mix.
"""

import contextlib
import functools
import json
import logging
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
from py4j.protocol import Py4JError
from pyspark import SparkConf, SparkContext
from pyspark.sql import SparkSession
from pyspark.sql.types import StructType

from chronon_beam.transforms.spark.arrow_types import to_arrow
from chronon_beam.transforms.spark.errors import (
    SPARK_ERRORS,
    QueryError,
    quiet_pyspark,
    spark_reason,
)
from chronon_beam.transforms.spark.eval_socket import EvalSocket
from chronon_beam.transforms.spark.java_value import JavaValue
from chronon_beam.transforms.spark.launch import HEAP, Jvm, launch, private_directory
from chronon_beam.transforms.spark.setups import needs_hive, run_setup

SQL_CONFS = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "false",
    "spark.sql.legacy.timeParserPolicy": "LEGACY",
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.caseSensitive": "false",
    "spark.sql.codegen.wholeStage": "true",
}
"""The settings on which a query's meaning and speed depend: Chronon's, and Spark's defaults."""

_LOCAL_CONFS = SQL_CONFS | {
    "spark.master": "local[1]",
    "spark.app.name": "chronon-beam",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.log.level": "ERROR",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.memory": HEAP,
    "spark.cleaner.referenceTracking": "false",
    # Python must connect within this time to collect rows; Spark's 15 s can pass on a busy machine.
    "spark.python.authenticate.socketTimeout": "300s",
}
_CATALOG = "spark.sql.catalogImplementation"
_HIVE_CONFS = {
    _CATALOG: "hive",
    "spark.hadoop.javax.jdo.option.ConnectionURL": "jdbc:derby:memory:metastore;create=true",
}
_EVALUATOR = "chrononbeam.SqlEval"


@dataclass
class LocalSpark:
    """A Spark in this process, and the socket at which its JVM evaluates.

    Attributes:
        session: pyspark's session.
        evaluator: the Java object that plans are registered with.
        socket: where registered plans are evaluated.
        jvm: the JVM that was started; None for a Spark of the user's own code.
        owner: the id of the process that may plan with this Spark; a forked child only evaluates.
    """

    session: SparkSession
    evaluator: JavaValue
    socket: EvalSocket
    jvm: Jvm | None
    owner: int = field(default_factory=os.getpid)
    _prepared: dict[tuple[str, ...], JavaValue] = field(default_factory=dict)

    @property
    def gateway(self) -> Any:
        """Pyspark's connection to the JVM, for planning."""
        return self.session.sparkContext._gateway

    def remove_files(self) -> None:
        """Remove the files that a killed JVM could not remove itself."""
        if self.jvm is not None and self.jvm.process.poll() is not None:
            shutil.rmtree(self.socket.path.parent, ignore_errors=True)

    def last_words(self) -> str:
        """The end of what the JVM printed, if this process started it."""
        return self.jvm.last_words() if self.jvm else "(see the log of your own SparkSession)"

    @property
    def has_hive(self) -> bool:
        """Whether functions can be made of Hive classes."""
        return self.session.sparkContext.getConf().get(_CATALOG) == "hive"

    def alive(self) -> bool:
        """Whether its JVM runs and Spark in it was not stopped."""
        if self.owner != os.getpid():
            return False  # the connection to the JVM is the parent's, so it is not asked
        if self.jvm is not None and self.jvm.process.poll() is not None:
            return False
        return _runs(self.session.sparkContext)

    def prepare(self, setups: tuple[str, ...]) -> JavaValue:
        """The JVM's session in which these setups have run; equal setups share one.

        Raises:
            QueryError: if a setup fails, with its statement.
        """
        with _lock:
            if setups not in self._prepared:
                session = _java(self.session).cloneSession()
                for name, value in SQL_CONFS.items():
                    session.conf().set(name, value)
                for statement in setups:
                    run_setup(session, statement)
                self._prepared[setups] = session
            return self._prepared[setups]


_log = logging.getLogger(__name__)
_lock = threading.RLock()
_running: LocalSpark | None = None
_of_parent: list[object] = []


def local_spark(setups: tuple[str, ...] = ()) -> LocalSpark:
    """The Spark of this process that can run the setups; it is started if none runs.

    If setups need Hive and the running Spark was started without Hive, another Spark is started.
    Queries that were compiled before stay with the old one.

    Raises:
        JavaNotFound: if there is no Java.
        JvmFailed: if the JVM does not start.
        QueryError: if setups need Hive and the user's own Spark has none.
    """
    global _running
    hive_for = next(filter(needs_hive, setups), None)
    with _lock:
        if _running is not None and not _running.alive():
            _running.remove_files()
            _forget()
        if _running is None:
            _running = _users_spark()
        if _running is not None and hive_for and not _running.has_hive:
            _refuse_hive(_running, hive_for)
            _forget()
        if _running is None:
            _running = _start(hive=hive_for is not None)
        if _running.jvm is not None:
            _running.jvm.release_unused()
        return _running


def session() -> SparkSession:
    """The pyspark session of this process; Spark is started if none runs.

    Raises:
        JavaNotFound: if there is no Java.
        JvmFailed: if the JVM does not start.
    """
    return local_spark().session


@functools.lru_cache(maxsize=64)
def parse_ddl(ddl: str) -> pa.Schema:
    """The Arrow schema of a Spark DDL string such as `id STRING, created BIGINT`.

    Raises:
        QueryError: with Spark's reason, if it is not DDL or has a type that Arrow lacks.
    """
    jvm: Any = session()._jvm
    try:
        with quiet_pyspark():
            parsed = jvm.org.apache.spark.sql.types.StructType.fromDDL(ddl).json()
    except SPARK_ERRORS as error:
        raise QueryError(f"schema `{ddl}`: {spark_reason(error)}") from None
    return to_arrow(StructType.fromJson(json.loads(parsed)))


def _users_spark() -> LocalSpark | None:
    """The Spark that the user's code runs in this process, if it does."""
    context = SparkContext._active_spark_context
    if context is None or not _runs(context):
        return None
    return _with_evaluator(SparkSession(context), private_directory(), None)


def _start(hive: bool) -> LocalSpark:
    confs = _LOCAL_CONFS | (_HIVE_CONFS if hive else {_CATALOG: "in-memory"})
    directory = private_directory()
    _forget()
    began = time.monotonic()
    _log.info("starting Spark (seconds; longer on a busy machine)")
    jvm = launch(confs, directory)
    with _own_interrupt():
        SparkContext._ensure_initialized(gateway=jvm.gateway)
        context = SparkContext(conf=SparkConf())
    spark = _with_evaluator(SparkSession(context), directory, jvm)
    spark.evaluator.follow(os.getpid())
    _log.info("Spark is up after %.1f s", time.monotonic() - began)
    return spark


def _with_evaluator(session: SparkSession, directory: Path, jvm: Jvm | None) -> LocalSpark:
    """Compile the evaluator in the session's JVM, and start it."""
    gateway: Any = session.sparkContext._gateway
    compiler = gateway.jvm.org.codehaus.janino.SimpleCompiler()
    compiler.setTargetVersion(8)
    compiler.setParentClassLoader(_java(session).getClass().getClassLoader())
    compiler.cook(Path(__file__).with_name("SqlEval.java").read_text(encoding="utf-8"))
    constructor = compiler.getClassLoader().loadClass(_EVALUATOR).getConstructors()[0]
    evaluator = constructor.newInstance(gateway.new_array(gateway.jvm.Object, 0))
    path = directory / "eval"
    evaluator.serve(str(path))
    return LocalSpark(session, evaluator, EvalSocket(path), jvm)


def _java(session: SparkSession) -> JavaValue:
    """The session in the JVM."""
    return session._jsparkSession


def _runs(context: SparkContext) -> bool:
    try:
        java: Any = context._jsc
        return java is not None and not java.sc().isStopped()
    except (Py4JError, OSError):
        return False


def _refuse_hive(spark: LocalSpark, setup: str) -> None:
    if spark.jvm is None:
        raise QueryError(
            f"setup `{setup}` needs a Spark with Hive support, and the SparkSession that runs in "
            "this process has none: make it with `SparkSession.builder.enableHiveSupport()`, or "
            "stop it first"
        )


def _forget() -> None:
    """Reset pyspark, which keeps one JVM per process, and this module: neither has a JVM then."""
    global _running
    _running = None
    SparkContext._gateway = None
    SparkContext._jvm = None
    SparkContext._active_spark_context = None
    SparkSession._instantiatedSession = None
    SparkSession._activeSession = None


def _forget_parents() -> None:
    """In a forked child: reset as `_forget` does, since the parent's JVM answers the parent only.

    The parent's objects are kept in a list, since their finalizers would call the JVM.
    """
    _of_parent.append((_running, SparkContext._gateway, SparkContext._active_spark_context))
    _forget()


@contextlib.contextmanager
def _own_interrupt() -> Iterator[None]:
    """Keep the handler of Ctrl-C, which pyspark replaces so as to cancel Spark jobs."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, handler)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_parents)
