"""Finds the cause of a failure, in one line, in the stack traces of Java and Python."""

import re

_PYTHON_TRACE = re.compile(
    r"Traceback \(most recent call last\):\n(?:[ \t].*\n|\n)*(?P<error>[A-Za-z_][\w.]*(?:: .*)?)"
)
_ERROR_LINE = re.compile(r"^(?:Error: |.*\bERROR |Error occurred .*\n)(?P<error>.+)", re.MULTILINE)
_RUNNING = "[while running"
_JAVA_CAUSE = re.compile(
    r"^(?:Caused by: |Exception in thread \"[^\"]*\" )?(?P<error>(?:[a-z]\w*\.)+[A-Z][\w$]*"
    r"(?:Exception|Error|Throwable|Failure)\b(?:: .*)?)$",
    re.MULTILINE,
)


def root_cause(text: str) -> str:
    r"""The line of a Java or Python failure that names its cause; empty if there is none.

    That is the error of a Python worker, of several the one that names its step; else the last
    `Caused by` of Java; else the last line that begins with ERROR.

    >>> root_cause('java.lang.RuntimeException: failed\n\tat a.B.c(B.java:1)\n'
    ...            'Caused by: java.net.ConnectException: Connection refused')
    'ConnectException: Connection refused'
    """
    python = [found["error"] for found in _PYTHON_TRACE.finditer(text)]
    if python:
        return _without_module(max(python, key=lambda error: _RUNNING in error))
    java = [found["error"] for found in _JAVA_CAUSE.finditer(text)]
    if java:
        return _without_module(java[-1])
    errors = [found["error"] for found in _ERROR_LINE.finditer(text)]
    return errors[-1].strip() if errors else ""


def _without_module(error: str) -> str:
    name, colon, message = error.partition(":")
    return f"{name.rpartition('.')[2]}{colon}{message}".strip()
