"""The GroupBys of a store: each that jobs or uploads have noted there, or why it cannot be fetched.

The notes hold the GroupBys' declarations, so that a reader of a store needs no file:

>>> from chronon_beam.fetcher.fetch import Fetcher
>>> from chronon_beam.io.kv_store import open_store
>>> store = open_store("memory:shop")
>>> entries = catalog(store)
>>> {name: Fetcher.of(each.info, store) for name, each in entries.items() if each.info}
{}

A call with the last result as `known` costs little more than the scan of the notes, so a server can
call it again every few seconds.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from chronon_beam.api.dialect import dialect
from chronon_beam.api.group_by import GroupBy, GroupByError
from chronon_beam.api.thrift_json import parse_conf
from chronon_beam.fetcher.batch_info import METADATA, read_batch
from chronon_beam.fetcher.readable_store import ListedStore
from chronon_beam.fetcher.serving_info import ServingInfo, StoredInfo, combine


class Notes(NamedTuple):
    """The notes on one GroupBy, as they are in the store.

    Attributes:
        stream: of the job that wrote tiles or rows last; None if there has been none.
        batch: of the last upload; None if there has been none.
    """

    stream: bytes | None = None
    batch: bytes | None = None


@dataclass(frozen=True)
class CatalogEntry:
    """A GroupBy of the store.

    Attributes:
        notes: the notes that `info` is made of.
        declared: the declaration that the caller has given; None takes the one in the notes.
        info: for `Fetcher.of`; None if the GroupBy cannot be served.
        reason: why it cannot be served, and what to do; empty otherwise.
    """

    name: str
    notes: Notes
    declared: GroupBy | None = None
    info: ServingInfo | None = None
    reason: str = ""


_NOTHING: Mapping[str, CatalogEntry] = {}


def catalog(
    store: ListedStore,
    declared: Iterable[GroupBy] = (),
    known: Mapping[str, CatalogEntry] = _NOTHING,
) -> dict[str, CatalogEntry]:
    """Each GroupBy that the store has or `declared` names, by its name, in the order of names.

    An entry whose note cannot be read has a reason; other entries are not affected.

    Args:
        store: what jobs and uploads have written to.
        declared: declarations that take the place of those in the notes.
        known: the last result; entries whose notes have not changed are the same objects.

    Raises:
        FileNotFoundError: the store is a file that does not exist. If a store does not answer,
            whatever its client raises.
    """
    given = {each.name: each for each in declared}
    notes = {**dict.fromkeys(given, Notes()), **_notes(store)}
    return {
        name: _entry(known.get(name), name, notes[name], given.get(name)) for name in sorted(notes)
    }


def _notes(store: ListedStore) -> dict[str, Notes]:
    """The notes by the GroupBys' names; the counts of uploads in the same dataset are left out."""
    found: dict[str, Notes] = {}
    for stored in store.scan(METADATA):
        key, note = stored.key_bytes.decode(errors="replace"), stored.value.value_bytes
        name, _, kind = key.rpartition("#")
        if kind == "batch":
            found[name] = found.get(name, Notes())._replace(batch=note)
        elif kind != "uploads":
            found[key] = found.get(key, Notes())._replace(stream=note)
    return found


def _entry(
    known: CatalogEntry | None, name: str, notes: Notes, declared: GroupBy | None
) -> CatalogEntry:
    if known is not None and (known.notes, known.declared) == (notes, declared):
        return known
    try:
        return CatalogEntry(name, notes, declared, _info(name, notes, declared))
    except GroupByError as error:
        reason = str(error)
    except Exception as error:  # a note may be damaged in any way; the others must be read
        reason = (
            f"{name}: its note in the store cannot be read ({type(error).__name__}: {error}): run "
            "the job again, with this version of chronon-beam"
        )
    return CatalogEntry(name, notes, declared, reason=reason)


def _info(name: str, notes: Notes, declared: GroupBy | None) -> ServingInfo:
    group_by = declared or _declared(name, notes)
    stored = None if notes.stream is None else StoredInfo.from_bytes(notes.stream)
    batch = None if notes.batch is None else read_batch(notes.batch, group_by)
    info = combine(stored, batch, group_by)
    info.plan.checked(info.tiled)  # makes the codecs now, so that the first request need not
    return info


def _declared(name: str, notes: Notes) -> GroupBy:
    """The declaration of the job, else that of the upload."""
    for note in filter(None, notes):
        found = json.loads(note)
        if found.get("declaration") is not None:
            return parse_conf(found["declaration"], dialect(found["dialect"]), name)
    raise GroupByError(
        f"{name}: its note in the store does not hold the GroupBy's declaration, as those of "
        "earlier versions do not: run the job again, or give --group_by"
    )
