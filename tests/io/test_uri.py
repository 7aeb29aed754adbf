"""URIs of sources, stores and dead letters, and how schemes are found."""

import importlib.metadata

import pytest

from chronon_beam.api.plugins import refuse_unknown
from chronon_beam.io import sources
from chronon_beam.io.memory import MemorySource
from chronon_beam.io.sources import open_source
from chronon_beam.io.uri import Uri, local_path, parse_uri


def test_values_may_hold_spaces_commas_brackets_colons_and_equals():
    uri = parse_uri("file:a b.json?schema=id STRING, m MAP<STRING,INT>, s STRUCT<a: INT>&format=x")
    assert uri.location == "a b.json"
    assert uri.parameters == {
        "schema": "id STRING, m MAP<STRING,INT>, s STRUCT<a: INT>",
        "format": "x",
    }


def test_percent_encoding_is_optional():
    assert parse_uri("file:a%3F.json?schema=a%20INT%26b") == Uri(
        "file", "a?.json", {"schema": "a INT&b"}
    )


def test_other_systems_paths_keep_their_scheme():
    assert parse_uri("file:gs://bucket/*.json").location == "gs://bucket/*.json"


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("events.jsonl", "no scheme: write for example file:events.jsonl"),
        (":events.jsonl", "no scheme"),
        ("file:a?schema", "'schema' in .* has no value"),
        ("file:a?x=1&x=2", "'x' twice"),
    ],
)
def test_malformed_uri_says_what_to_write(uri, message):
    with pytest.raises(ValueError, match=message):
        parse_uri(uri)


def test_unknown_parameter_names_the_nearest():
    with pytest.raises(ValueError, match=r"'shema': did you mean 'schema'\?"):
        refuse_unknown({"shema": "a INT"}, ("schema", "format"), "a file: source")


def test_local_path_takes_two_slashes_before_an_absolute_path():
    assert local_path("///tmp/a", "file:///tmp/a") == "/tmp/a"
    assert local_path("/tmp/a", "file:/tmp/a") == "/tmp/a"
    assert local_path("a/b", "file:a/b") == "a/b"
    with pytest.raises(ValueError, match=r"names the host 'a': write file:a/b or file:///a/b"):
        local_path("//a/b", "file://a/b")
    with pytest.raises(ValueError, match="no path"):
        local_path("", "file:")


def test_unknown_scheme_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"no source is registered for 'flie:'.*file:"):
        open_source("flie:events.jsonl")


def open_nowhere(uri: str) -> MemorySource:
    return MemorySource([], ddl=uri)


def test_packages_add_schemes_by_entry_points(monkeypatch):
    point = importlib.metadata.EntryPoint("nowhere", f"{__name__}:open_nowhere", sources.GROUP)
    monkeypatch.setattr(importlib.metadata.EntryPoint, "load", lambda self: open_nowhere)
    monkeypatch.setattr(
        "chronon_beam.api.plugins.entry_points",
        lambda group: [point] if group == sources.GROUP else [],
    )
    assert open_source("nowhere:x").ddl == "nowhere:x"
