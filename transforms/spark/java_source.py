"""Compiles Java source by Janino, which Spark ships: a machine with a Java runtime needs no JDK."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from chronon_beam.transforms.spark.session import local_spark


def class_files(source: str, jars: Sequence[Path]) -> dict[str, bytes]:
    """The class files of Java source, by the path that a jar has them under.

    Args:
        source: one compilation unit: no lambdas, and casts where Java would use generics.
        jars: what it imports besides Java's own classes.

    Raises:
        Py4JJavaError: the source does not compile; the message has line and reason.
    """
    gateway: Any = local_spark().gateway
    jvm = gateway.jvm
    urls = gateway.new_array(jvm.java.net.URL, len(jars))
    for index, jar in enumerate(jars):
        urls[index] = jvm.java.io.File(str(jar.resolve())).toURI().toURL()
    loader = jvm.java.net.URLClassLoader(urls, jvm.java.lang.ClassLoader.getPlatformClassLoader())
    try:
        compiler = jvm.org.codehaus.janino.SimpleCompiler()
        compiler.setTargetVersion(8)
        compiler.setParentClassLoader(loader)
        compiler.cook(source)
        found = compiler.getBytecodes()
        return {f"{name.replace('.', '/')}.class": bytes(found[name]) for name in sorted(found)}
    finally:
        loader.close()
