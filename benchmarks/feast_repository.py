"""A Feast repository with feature values that are given; runs in Feast's own environment.

    python benchmarks/feast_repository.py FOLDER < views.json

`views.json` has per view the names, Feast's types and the values of its features by key. Values are
written by `FeatureStore.write_to_online_store` into Feast's SQLite online store.
"""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd  # pyright: ignore[reportMissingImports]
from feast import (  # pyright: ignore[reportMissingImports]
    Entity,
    FeatureStore,
    FeatureView,
    Field,
    FileSource,
    ValueType,
)
from feast.types import Array, Float64, Int64, String  # pyright: ignore[reportMissingImports]

TYPES: dict[str, Any] = {
    "long": Int64,
    "double": Float64,
    "string": String,
    "strings": Array(String),
    "doubles": Array(Float64),
}
SETTINGS = """\
project: bench
provider: local
registry: registry.db
online_store: {type: sqlite, path: online.db}
entity_key_serialization_version: 3
telemetry: false
"""
KEY = "customer_id"


def main(folder: Path) -> None:
    """Make the repository in `folder`."""
    (folder / "feature_store.yaml").write_text(SETTINGS)
    views = json.load(sys.stdin)
    store = FeatureStore(str(folder))
    customer = Entity(name=KEY, join_keys=[KEY], value_type=ValueType.STRING)
    for name, view in views.items():
        rows = pd.DataFrame([{KEY: key, **row} for key, row in view["rows"].items()])
        rows["event_timestamp"] = datetime.now(UTC)
        path = folder / f"{name}.parquet"
        rows.to_parquet(path)
        source = FileSource(path=str(path), timestamp_field="event_timestamp")
        fields = [Field(name=each, dtype=TYPES[kind]) for each, kind in view["types"].items()]
        made = FeatureView(name=name, entities=[customer], schema=fields, source=source)
        store.apply([customer, made])
        store.write_to_online_store(name, rows)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
