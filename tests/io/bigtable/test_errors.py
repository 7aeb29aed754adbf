"""What errors of Bigtable say to the user, and how soon."""

import time
from typing import Any
from unittest.mock import create_autospec

import grpc
import pytest
from google.api_core.exceptions import (
    InternalServerError,
    PermissionDenied,
    RetryError,
)
from google.auth.exceptions import DefaultCredentialsError
from google.cloud.bigtable_admin_v2 import BigtableTableAdminClient, types
from google.cloud.bigtable_v2.services.bigtable.transports import BigtableGrpcTransport

from chronon_beam.io.bigtable import tables as bigtable_tables
from chronon_beam.io.bigtable.codes import Status
from chronon_beam.io.bigtable.errors import BigtableError, cannot_make, remedy
from chronon_beam.io.bigtable.options import BigtableOptions
from chronon_beam.io.bigtable.tables import by_hand, collection_rule, same_rule
from chronon_beam.io.kv_store import open_store

OPTIONS = BigtableOptions("shop", "features")
UNAVAILABLE, NOT_FOUND, DENIED, UNAUTHENTICATED = 14, 5, 7, 16


@pytest.mark.parametrize(
    ("code", "message", "emulator", "text"),
    [
        (UNAVAILABLE, "Connection refused", "localhost:1", "emulator at localhost:1 is up"),
        (UNAVAILABLE, "no DNS", None, "whether this machine reaches"),
        (UNAVAILABLE, "Getting metadata from plugin failed with error: x", None, "gcloud auth"),
        (UNAUTHENTICATED, "bad token", None, "run `gcloud auth application-default login`"),
        (DENIED, "no", None, "ask for the role roles/bigtable.user"),
        (NOT_FOUND, "no", None, "correct the project, instance or app profile"),
    ],
)
def test_remedy_fits_what_went_wrong(
    code: int, message: str, emulator: str | None, text: str
) -> None:
    assert text in remedy(Status(code, message), emulator)


def test_table_that_cannot_be_made_is_explained_in_one_line() -> None:
    def told(error: Any) -> str:
        return str(cannot_make(OPTIONS, None, "T", by_hand(OPTIONS, "GROUPBY_BATCH"), error))

    assert told(PermissionDenied("no bigtable.tables.create")) == (
        "Bigtable projects/shop/instances/features: table T cannot be made: PERMISSION_DENIED: no "
        "bigtable.tables.create: ask for the role roles/bigtable.admin, or have it made: "
        "cbt -project shop -instance features createtable GROUPBY_BATCH "
        "'families=cf:maxage=432000s||maxversions=10000'"
    )
    down = RetryError("Timeout of 10.0s exceeded", InternalServerError("broken"))
    assert "cannot be made: INTERNAL: broken: look whether" in told(down)
    assert by_hand(OPTIONS, "CHRONON_METADATA").endswith("'families=cf:maxversions=10000'")


def test_rules_are_the_same_in_whatever_order() -> None:
    rule = collection_rule("GROUPBY_BATCH", OPTIONS.max_age_ms)
    turned = types.GcRule(union=types.GcRule.Union(rules=[*rule.union.rules][::-1]))
    assert rule != turned
    assert same_rule(rule, turned)
    assert not same_rule(rule, collection_rule("GROUPBY_BATCH", None))
    assert not same_rule(rule, types.GcRule())


def test_missing_credentials_are_told_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_channel(*_: Any, **__: Any) -> None:
        raise DefaultCredentialsError("Your default credentials were not found.")

    monkeypatch.delenv("BIGTABLE_EMULATOR_HOST", raising=False)
    monkeypatch.setattr(BigtableGrpcTransport, "create_channel", no_channel)
    with pytest.raises(BigtableError) as raised:
        open_store("bigtable://shop/features")
    assert str(raised.value) == (
        "Bigtable projects/shop/instances/features: no credentials: Your default credentials were "
        "not found: run `gcloud auth application-default login`, or set "
        "GOOGLE_APPLICATION_CREDENTIALS; for an emulator, set BIGTABLE_EMULATOR_HOST"
    )


def test_instance_that_is_down_is_told_of_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BIGTABLE_EMULATOR_HOST", "localhost:1")
    store = open_store("bigtable://shop/features?read_wait=1s")
    began = time.monotonic()
    with pytest.raises(BigtableError, match=r"GROUPBY_STREAMING cannot be made: UNAVAILABLE: .*1 "):
        store.create("X_STREAMING")
    assert time.monotonic() - began < 5
    store.close()


def test_connection_for_tables_is_let_go_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """Google's, for an emulator shares the one for data."""
    transports: list[Any] = []

    def made(**given: Any) -> Any:
        transports.append(create_autospec(BigtableTableAdminClient, instance=True))
        return transports[-1]

    monkeypatch.setattr(bigtable_tables, "BigtableTableAdminClient", made)
    bigtable_tables.BigtableTables(OPTIONS, None).close()
    transports[0].transport.close.assert_called_once_with()
    with grpc.insecure_channel("localhost:1") as channel:
        bigtable_tables.BigtableTables(OPTIONS, channel).close()
    transports[1].transport.close.assert_not_called()
