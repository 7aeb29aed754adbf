"""Names of columns: the words in them, and names like them that Python, Spark and Avro accept."""

import keyword
import re
from collections.abc import Sequence


def words_of(name: str) -> set[str]:
    """The words in a column's name, in lower case.

    >>> sorted(words_of("eventTime_ms"))
    ['event', 'ms', 'time']
    """
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)}


def identifier(name: str) -> str:
    """A Python name that is like `name`.

    >>> identifier("2024 sales-eu"), identifier("class")
    ('_2024_sales_eu', 'class_')
    """
    found = re.sub(r"\W", "_", name, flags=re.ASCII)
    found = f"_{found}" if not found or found[0].isdigit() else found
    return f"{found}_" if keyword.iskeyword(found) else found


def aliases_of(names: Sequence[str]) -> dict[str, str]:
    """For each column a name of its own that Python, Spark and Avro accept, and that is not `ts`.

    >>> aliases_of(["user id", "user_id", "ts"])
    {'user id': 'user_id', 'user_id': 'user_id_', 'ts': 'ts_'}
    """
    aliases: dict[str, str] = {}
    taken = {"ts"}
    for name in names:
        alias = identifier(name)
        while alias.lower() in taken:
            alias += "_"
        aliases[name] = alias
        taken.add(alias.lower())
    return aliases


def quoted(name: str) -> str:
    """A column's name as it is written in Spark SQL.

    >>> quoted("user_id"), quoted("user id")
    ('user_id', '`user id`')
    """
    plain = re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII)
    return name if plain else "`" + name.replace("`", "``") + "`"
