"""Settings of clients from files and environment variables: secrets, which URIs must not hold.

URIs are printed. The process that opens a connection reads these settings when it does so; they
are never part of a pipeline.
"""

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

_SECRET = re.compile(r"password|secret|\.pem$|jaas|token|user\.info", re.IGNORECASE)


def read_properties(path: str, parameter: str, of_the_job: Iterable[str]) -> dict[str, str]:
    """The settings in a file of `name=value` lines; `#` and `!` begin comments, as in Java's.

    Args:
        path: the file.
        parameter: what named it, for errors, for example `properties`.
        of_the_job: names that the file may not set.

    Raises:
        ValueError: the file cannot be read, a line has no `=`, or it sets what the job does.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ValueError(
            f"{parameter}={path} cannot be read ({why}): the file is needed here and on every "
            "machine with workers"
        ) from None
    found: dict[str, str] = {}
    refused = frozenset(of_the_job)
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if not text or text[0] in "#!":
            continue
        name, equals, value = (part.strip() for part in text.partition("="))
        if not equals:
            raise ValueError(f"{path}:{number}: NAME=VALUE is expected")
        if name in refused:
            raise ValueError(f"{path}:{number}: {name} is set by the job; leave it out")
        found[name] = value
    return found


def environment_settings(variables: "re.Pattern[str]") -> dict[str, str]:
    """The settings in environment variables, by the client's names.

    Args:
        variables: what their names are; the first group is the setting in capitals, with `_` for
            each dot: `KAFKA_(SASL_.+)` makes `sasl.password` of KAFKA_SASL_PASSWORD.
    """
    return {
        found[1].lower().replace("_", "."): value
        for variable, value in os.environ.items()
        if (found := variables.fullmatch(variable)) and value
    }


def without_secrets(text: str, settings: Mapping[str, object]) -> str:
    """The text with `***` in place of each value of a setting that nobody may see.

    >>> without_secrets("no account ann:x1", {"basic.auth.user.info": "ann:x1"})
    'no account ***'
    """
    for name, value in settings.items():
        if _SECRET.search(name) and value:
            text = text.replace(str(value), "***")
    return text
