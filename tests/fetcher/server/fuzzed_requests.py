"""Requests for features that are wrong in some way, or nearly right, and many variants of each."""

import json
import random
from typing import NamedTuple, TypeVar
from urllib.parse import quote

import orjson
from fuzzed_process import LIMITS, WIDE
from hypothesis import strategies as st
from stores import ANN, AT_MS

_T = TypeVar("_T")

ENCODINGS = ("utf-8", "utf-16", "utf-32", "utf-8-sig", "utf-7")
ODD = (
    b"[" * 3_000,
    b'[{"user":' * 1_500,
    b'[{"user": "Ann", "user": 7, "shop": 1, "shop": "1"}]',
    b'[{"user": "\\ud800", "shop": 1}]',
    b'[{"user": "\xed\xa0\x80", "shop": 1}]',
    b'[{"user": NaN, "shop": Infinity}]',
    b'[{"user": "Ann", "shop": ' + b"9" * 4_000 + b"}]",
    b'[{"user": "Ann", "shop": 1e999}]',
    b"[" + b"{}," * 99 + b"{}]",
    b"[" + b"{}," * 100 + b"{}]",
    b"\x00",
    b"",
)


class Asked(NamedTuple):
    """A request.

    Attributes:
        path: with percent signs, and the query.
        header: one more header line, or nothing.
    """

    path: bytes
    body: bytes
    header: bytes = b""

    @property
    def raw(self) -> bytes:
        """As it is sent."""
        size = b"content-length: %d\r\n" % len(self.body)
        return b"POST %s HTTP/1.1\r\nhost: test\r\n%s%s\r\n%s" % (
            self.path,
            size,
            self.header,
            self.body,
        )

    @property
    def rows(self) -> int | None:
        """How many rows the body has; None if it is not a list of objects."""
        try:
            rows = orjson.loads(self.body)
        except orjson.JSONDecodeError:
            return None
        whole = isinstance(rows, list) and all(isinstance(row, dict) for row in rows)
        return len(rows) if whole and len(rows) <= LIMITS.rows else None

    def variant(self, chance: random.Random) -> "Asked":
        """The request with some bytes of its body changed, lost, doubled or moved."""
        body = bytearray(self.body)
        for _ in range(chance.randrange(3)):
            at, to = sorted(chance.randrange(len(body) + 1) for _ in range(2))
            change = chance.randrange(4)
            if change == 0 and body:
                body[at % len(body)] = chance.randrange(256)
            elif change == 1:
                del body[at : min(to, at + 8)]
            elif change == 2 and len(body) < 20_000:
                body[at:at] = body[at:to]
            else:
                body[at:at] = chance.choice(TOKENS)
        return self._replace(body=bytes(body))


TOKENS = (b"{", b"}", b"[", b"]", b",", b":", b'"', b"\\", b"null", b"-1", b"1e400", b'"user":')

_scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([2**31, -(2**63), 2**63, 2**64, 10**400])
    | st.floats()
    | st.text(st.characters(exclude_categories=()), max_size=20)
    | st.sampled_from(["Ann", "1", "5.7", "-0", "1e5", "١", "\ud800", "a\u0000b", "x" * 2_000])
)
_names = st.sampled_from([*ANN, *WIDE, "buyer", ""]) | st.text(max_size=5)
_values = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_names, inner, max_size=4),
    max_leaves=12,
)


def _rows_of(columns: list[str]) -> st.SearchStrategy[dict[str, object]]:
    """Rows that have all key columns, with values of any type."""
    return st.fixed_dictionaries(dict.fromkeys(columns, _scalars), optional={"more": _values})


_rows = st.lists(
    st.just({**ANN, "buyer": "Ann"})
    | _rows_of([*ANN, "buyer"])
    | _rows_of([*WIDE])
    | st.dictionaries(_names, _values, max_size=5),
    max_size=24,
)


def _mostly(usual: st.SearchStrategy[_T], odd: st.SearchStrategy[_T]) -> st.SearchStrategy[_T]:
    """Seven of eight times `usual`."""
    return st.sampled_from([usual] * 7 + [odd]).flatmap(lambda chosen: chosen)


@st.composite
def _texts(draw: st.DrawFn) -> bytes:
    """JSON, in any encoding."""
    text = json.dumps(draw(_mostly(_rows, _values)), ensure_ascii=draw(st.booleans()))
    encoding = draw(_mostly(st.just("utf-8"), st.sampled_from(ENCODINGS)))
    return text.encode(encoding, "surrogatepass" if encoding != "utf-7" else "replace")


_bodies = _mostly(_texts(), st.binary(max_size=300) | st.sampled_from(ODD))
_group_bys = st.sampled_from(["t.both", "t/both", "t%2Fboth", "t.tiles", "t.wide"])
_paths = _mostly(
    st.builds("/v1/{}/groupby/{}".format, st.sampled_from(["features", "fetch"]), _group_bys),
    st.sampled_from([f"/{path}/join/t.join" for path in ("v1/features", "v1/fetch", "v2/fetch")]),
)
_parts = st.binary(max_size=20).map(lambda raw: quote(raw, safe=""))
_odd_paths = st.builds(
    "/{}/{}/{}".format,
    st.sampled_from(["v1/features", "v1/fetch", "v2/fetch"]),
    st.sampled_from(["groupby", "join"]),
    _parts | st.sampled_from(["t.none", "t.both/", "t.both/../t.tiles", "a" * 3_000]),
)
_at = (st.integers().map(str) | st.text(max_size=8)).map(lambda text: _quoted(f"at={text}"))
_chosen = st.text(max_size=12).map(lambda text: _quoted(f"features={text}"))
_odd_queries = st.sampled_from(["at", "&&", "at=1&at=2", "features=,", "%", "?"]) | st.lists(
    _at | _chosen | _parts, max_size=12
).map("&".join)
_queries = st.sampled_from(["", f"at={AT_MS}", "at=0", "features=n_sum_7d,n_sum_1h", "at=%31"])
_headers = st.sampled_from([b"", b"accept: x/\xff\r\n", b"content-type: text/html\r\n"])
_odd_headers = st.sampled_from(
    [
        b"content-encoding: gzip\r\n",
        b"content-encoding: \xff\r\n",
        b"content-type: application/json; charset=utf-16\r\n",
        b"authorization: Bearer x\r\n",
    ]
)


def _quoted(text: str) -> str:
    return quote(text.encode("utf-8", "surrogatepass"), safe="=,")


@st.composite
def asked(draw: st.DrawFn) -> Asked:
    """A request for features."""
    path = draw(_mostly(_paths, _odd_paths))
    query = draw(_mostly(_queries, _odd_queries))
    target = f"{path}?{query}" if query else path
    return Asked(target.encode(), draw(_bodies), draw(_mostly(_headers, _odd_headers)))
