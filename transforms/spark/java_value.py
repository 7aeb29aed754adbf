"""The type of the values that py4j gives: objects, classes and packages of the JVM."""

from typing import Any, Protocol


class JavaValue(Protocol):
    """A value in the JVM, whose members are reached by their Java names."""

    def __getattr__(self, name: str) -> Any:
        """A member of the Java value."""
        ...
