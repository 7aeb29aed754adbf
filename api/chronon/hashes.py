"""zipline's hashes of columns: a hash changes if the column is computed in another way.

Source: `ai.chronon.cli.compile.column_hashing` of zipline-ai.
"""

import re
from collections.abc import Iterable, Sequence
from hashlib import md5

from chronon_beam.api.chronon.conf import Conf
from chronon_beam.api.chronon.words import output_columns
from chronon_beam.api.dialect import ZIPLINE


def column_hashes(conf: Conf) -> dict[str, str]:
    """A hash per output column of a compiled GroupBy, keys among them."""
    keys, meta = conf["keyColumns"], conf["metaData"]
    sources = [part for source in conf["sources"] for part in _source_parts(source, keys)]
    inputs = _input_hashes(conf, sources)
    suffix = f"__{meta.get('version')}"
    common = [*sources, f"group_by_name:{meta['name'].removesuffix(suffix)}"]
    output = {column: _hash([*common, f"input_expr:{digest}"]) for column, digest in inputs.items()}
    if not conf.get("derivations"):
        return output
    derived = _derived(output, conf["derivations"], common)
    return {**{key: inputs[key] for key in keys}, **derived}


def _hash(parts: Iterable[str]) -> str:
    return md5("|".join(sorted(parts)).encode(), usedforsecurity=False).hexdigest()


def _body(source: Conf) -> Conf:
    return next(iter(source.values()))


def _selects(source: Conf) -> dict[str, str]:
    return _body(source).get("query", {}).get("selects") or {}


def _source_parts(source: Conf, keys: Sequence[str]) -> list[str]:
    """The parts of a source on which all columns depend."""
    kind, body = next(iter(source.items()))
    query, selects = body.get("query", {}), _selects(source)
    table = body.get("join", {}).get("metaData", {}).get("name")
    if kind != "joinSource":
        table = body.get("snapshotTable" if kind == "entities" else "table")
    parts = [
        f"table:{table}",
        f"mutation_table:{body.get('mutationTable') if kind == 'entities' else ''}",
        f"cumulative:{body.get('isCumulative') or ''}",
        f"filters:{query.get('wheres') or ''}",
        *(f"select:{key}={selects.get(key, key)}" for key in keys),
    ]
    if time := query.get("timeColumn"):
        parts.append(f"time_column:{time}={selects.get(time, time)}")
    return parts


def _input_hashes(conf: Conf, sources: list[str]) -> dict[str, str]:
    """A hash per key and per feature, of where its values come from."""
    texts: dict[str, str] = {}
    selected = [_selects(source) for source in conf["sources"]]

    def expressions(column: str) -> list[str]:
        return [each.get(column, column) for each in selected]

    for aggregation in conf.get("aggregations") or []:
        # zipline sorts the letters of all expressions, not the expressions.
        letters = ",".join(sorted("".join(expressions(aggregation["inputColumn"]))))
        texts |= dict.fromkeys(output_columns(aggregation, ZIPLINE), letters)
    if not conf.get("aggregations"):
        columns = dict.fromkeys(name for each in selected for name in each)
        texts = {
            name: ",".join(sorted({each[name] for each in selected if name in each}))
            for name in columns
        }
    features = {column: _hash([*sources, text]) for column, text in texts.items()}
    keys = {key: _hash(expressions(key)) for key in conf["keyColumns"]}
    return {**features, **keys}


def _derived(output: dict[str, str], derivations: list[Conf], common: list[str]) -> dict[str, str]:
    every = any(each.get("expression") == "*" for each in derivations)
    found = dict(output) if every else {}
    for each in derivations:
        name, text = each["name"], each["expression"]
        if text in output:
            found[name] = output[text]
        if name != "*":
            used = [output[word] for word in re.findall(r"\b\w+\b", text) if word in output]
            found[name] = _hash([*common, f"derivation:{text}", *used])
    return found
