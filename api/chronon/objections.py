"""What Chronon's compilers object to in a definition that its Python API takes.

A stream can be run all the same, so objections are printed and do not stop a command.
Source: `ai.chronon.repo.validator` of chronon-ai, `ai.chronon.cli.compile.conf_validator` of
zipline-ai.
"""

import re
from collections.abc import Iterator

from chronon_beam.api.chronon.conf import Conf
from chronon_beam.api.chronon.words import output_columns
from chronon_beam.api.dialect import ZIPLINE, Dialect, TimeUnit
from chronon_beam.api.group_by import Accuracy

_IDENTIFIER = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


def objections(conf: Conf, dialect: Dialect) -> list[str]:
    """One sentence per objection of a dialect's compiler."""
    found = list(_to_derivations(conf, dialect))
    for source in conf["sources"]:
        events = source.get("events", {})
        if events.get("isCumulative") and not events.get("query", {}).get("timeColumn"):
            found.append(f"table {events.get('table')} is cumulative and has no time_column")
    if dialect is ZIPLINE:
        return [*found, *_to_batch(conf)]
    date = conf["metaData"].get("deprecationDate")
    if date and not re.match(r"\d{4}-\d{2}-\d{2}", date):
        found.append(f"deprecation_date {date!r}: write YYYY-MM-DD")
    return found


def _to_derivations(conf: Conf, dialect: Dialect) -> Iterator[str]:
    derivations = conf.get("derivations") or []
    known = _columns(conf, dialect)
    every = any(each["expression"] == "*" for each in derivations)
    taken = known - {each["expression"] for each in derivations} if every else set[str]()
    for each in derivations:
        name, text = each["name"], each["expression"]
        if _IDENTIFIER.fullmatch(text) and text not in known | {"ts", "ds"}:
            yield f"derivation {name!r} is of {text!r}, which is no column"
        if name != "*":
            if name in taken and name not in conf["keyColumns"]:
                yield f"derivation {name!r} has the name of another column"
            taken.add(name)


def _columns(conf: Conf, dialect: Dialect) -> set[str]:
    aggregations = conf.get("aggregations")
    if aggregations:
        features = {name for each in aggregations for name in output_columns(each, dialect)}
    else:
        body = next(iter(conf["sources"][0].values()))
        features = set(body.get("query", {}).get("selects") or ())
    online = dialect is ZIPLINE and conf["metaData"].get("online")
    return features if online else features | set(conf["keyColumns"])


def _to_batch(conf: Conf) -> Iterator[str]:
    aggregations = conf.get("aggregations") or []
    streamed = any(
        body.get("topic") is not None or body.get("mutationTopic") is not None
        for source in conf["sources"]
        for body in source.values()
    )
    hours = any(
        ZIPLINE.time_units[window["timeUnit"]] is TimeUnit.HOURS
        for each in aggregations
        for window in each.get("windows") or []
    )
    if hours and not streamed and conf.get("accuracy") != Accuracy.TEMPORAL.value:
        yield "windows of hours need a source with a topic, or accuracy TEMPORAL"
    endless = any("windows" not in each for each in aggregations)
    begins = all(
        "startPartition" in source["events"].get("query", {})
        for source in conf["sources"]
        if "events" in source
    )
    if endless and not begins:
        yield "an aggregation without windows needs a start_partition in its sources"
