"""Spark's JVM: one per process, quiet, and ended when the process ends."""

import gc
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st
from py4j.clientserver import FinalizerWorker
from waiting import eventually

from chronon_beam.transforms.spark.session import local_spark
from chronon_beam.transforms.spark.setups import local_jars, needs_hive

BEGIN = """
import os, signal, sys, time
import pyarrow as pa
from pyspark import SparkContext
from pyspark.sql import SparkSession
from chronon_beam.transforms.spark import quick_start
from chronon_beam.transforms.spark.session import SQL_CONFS, local_spark
from chronon_beam.transforms.spark.launch import JvmFailed, launch, private_directory
from chronon_beam.transforms.spark.compiled_query import compile_query
from chronon_beam.transforms.spark.query import SqlQuery
from chronon_beam.transforms.spark.session import parse_ddl

quick_start.start.short = True  # the tests look at how a JVM starts and ends

INTERRUPT = signal.getsignal(signal.SIGINT)

def query(select, *setups):
    return SqlQuery((("x", select),), (), setups, pa.schema([("s", pa.string())]), ("x",))

def value(compiled):
    return compiled.evaluate(pa.RecordBatch.from_pydict({"s": ["a"]})).rows["x"][0].as_py()
"""

A_LONG_LIFE = """
compiled = compile_query(query("upper(s)"))
first = local_spark().jvm.process
files = compiled._spark.socket.path.parent
first.kill()
first.wait()
try:
    value(compiled)
except JvmFailed as error:
    assert "the next compile_query starts another" in str(error), error
compiled = compile_query(query("upper(s)"))
assert value(compiled) == "A"
assert not files.exists()
assert signal.getsignal(signal.SIGINT) is INTERRUPT
jvm = local_spark().jvm
if os.fork() == 0:
    assert value(compiled) == "A"
    print(os.getpid(), jvm.process.pid, os.path.dirname(compiled._spark.socket.path), flush=True)
time.sleep(600)
"""

A_NOTEBOOK = """
theirs = {"spark.master": "local[1]", "spark.ui.enabled": "false", "spark.app.name": "notebook",
          "spark.sql.session.timeZone": "Asia/Tokyo", "spark.sql.ansi.enabled": "true",
          "spark.log.level": "ERROR"}
jvm = launch(theirs, private_directory())
SparkContext._ensure_initialized(gateway=jvm.gateway)
spark = SparkSession.builder.getOrCreate()
spark.sql("CREATE TEMPORARY FUNCTION shout(s STRING) RETURNS STRING RETURN concat(s, '!')")
compiled = compile_query(query("concat(shout(s), current_timezone(), 1 / 0 IS NULL)"))
assert value(compiled) == "a!UTCtrue"
assert local_spark().session.sparkContext is spark.sparkContext
assert spark.conf.get("spark.sql.session.timeZone") == "Asia/Tokyo"
assert spark.conf.get("spark.sql.ansi.enabled") == "true"
try:
    compile_query(query("f(s)", "CREATE TEMPORARY FUNCTION f AS 'F'"))
except ValueError as error:
    assert "enableHiveSupport" in str(error), error
spark.stop()
assert value(compile_query(query("upper(s)"))) == "A"
"""


def running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or ") Z" not in stat.read_text()


def test_a_jvm_that_ends_is_replaced_and_none_outlives_its_process():
    process = subprocess.Popen(
        [sys.executable, "-c", BEGIN + A_LONG_LIFE],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    said = process.stdout.readline().split()
    if not said:
        raise AssertionError(process.communicate())
    child, jvm, directory = int(said[0]), int(said[1]), Path(said[2])
    try:
        assert running(jvm)
        assert directory.stat().st_mode & 0o777 == 0o700
        process.send_signal(signal.SIGKILL)
        process.wait()
        # The forked child still holds the JVM's standard input.
        assert eventually(lambda: not running(jvm))
        assert eventually(lambda: not directory.exists())
    finally:
        os.kill(child, signal.SIGKILL)
        process.kill()
    said, logged = process.communicate()
    assert said == ""
    # py4j used to log a lost connection when it told the killed JVM which objects to free.
    assert "Traceback" not in logged


def test_java_objects_are_freed_only_while_the_jvm_is_known_to_run():
    spark = local_spark()
    freeing = [each for each in threading.enumerate() if isinstance(each, FinalizerWorker)]
    assert eventually(lambda: not any(thread.is_alive() for thread in freeing), 60)
    java = spark.gateway.jvm.java.util.ArrayList()
    java_id, client = java._target_id, spark.gateway._gateway_client
    del java
    gc.collect()
    assert (client, java_id) in spark.jvm.unused
    with patch.object(client, "send_command", wraps=client.send_command) as sent:
        assert local_spark() is spark
    assert f"m\nd\n{java_id}\ne\n" in [call.args[0] for call in sent.call_args_list]
    assert not spark.jvm.unused


def test_a_spark_that_runs_already_is_used_and_left_as_it_is():
    done = subprocess.run(
        [sys.executable, "-c", BEGIN + A_NOTEBOOK],
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert "Traceback" not in done.stderr


def test_nothing_is_left_behind_by_a_process_that_ends(tmp_path):
    program = BEGIN + "assert parse_ddl('a INT'); print(local_spark().jvm.process.pid)"
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
        cwd=tmp_path,
        env=os.environ | {"TMPDIR": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert not running(int(done.stdout))
    assert list(tmp_path.iterdir()) == []


@given(
    st.sampled_from(["ADD JAR ", "add jars  ", "\n ADD\tJAR "]), st.lists(st.sampled_from("abc"))
)
def test_every_jar_of_a_statement_is_found(verb, names):
    paths = [f"/jars/{name}.jar" for name in names]
    assert local_jars(verb + " ".join(paths)) == (paths if names else [])


def test_only_functions_of_a_class_need_hive():
    assert needs_hive("create or replace temporary function f as\n'com.F' using jar 'x.jar'")
    assert needs_hive('CREATE FUNCTION IF NOT EXISTS db.f AS "F"')
    assert not needs_hive("CREATE TEMPORARY FUNCTION f(x INT) RETURNS INT RETURN x")
    assert not needs_hive("SET x = 'CREATE FUNCTION f AS ''F'''")
