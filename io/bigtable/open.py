"""Opens `bigtable:` URIs. Google's client library is imported only then, since it is optional."""

from chronon_beam.io.bigtable.options import bigtable_options
from chronon_beam.io.kv_store import KVStore


def open_bigtable(uri: str) -> KVStore:
    """The store of `bigtable://PROJECT/INSTANCE`; see `BigtableOptions` for the parameters.

    Raises:
        ValueError: a malformed URI.
        ImportError: the client library is not installed.
        BigtableError: there are no credentials.
    """
    options = bigtable_options(uri)
    try:
        from chronon_beam.io.bigtable.bigtable_store import BigtableStore
    except ImportError as error:
        raise ImportError(
            f"bigtable: its client library is missing ({error}): "
            "install it with: pip install 'chronon-beam[bigtable]'"
        ) from error
    return BigtableStore(options)
