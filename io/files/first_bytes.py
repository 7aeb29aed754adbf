"""Finds files that are not what their name says, by their first bytes, before a job starts."""

import json

from chronon_beam.io.files.identity import open_stored
from chronon_beam.io.files.json_lines import COMPRESSIONS

_LOOKED_AT = 4096
_MAGIC = {
    ".gz": b"\x1f\x8b",
    ".bz2": b"BZh",
    ".zst": b"\x28\xb5\x2f\xfd",
    "Parquet": b"PAR1",
    "Avro": b"Obj\x01",
    "ZIP": b"PK\x03\x04",
}


def refuse_unlike_lines(path: str, *, json_objects: bool) -> None:
    """Refuse a file that does not begin as lines of text do.

    Args:
        path: the file.
        json_objects: whether each line should be a JSON object.

    Raises:
        ValueError: the file is of another kind; the message says which, and what to do.
    """
    with open_stored(path) as file:
        head = file.read(_LOOKED_AT)
    kind = next((kind for kind, magic in _MAGIC.items() if head.startswith(magic)), None)
    named = next((end for end in COMPRESSIONS if path.lower().endswith(end)), None)
    if named is not None and kind != named and head:
        raise ValueError(f"{path} is not compressed as {named} says: give it its own name")
    if named is None and kind is not None:
        raise ValueError(f"{path} is a {kind} file: give it a name that ends so, or its ?format=")
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise ValueError(
            f"{path} is UTF-16: convert it, for example with iconv -f UTF-16 -t UTF-8 {path}"
        )
    if json_objects and named is None:
        _refuse_other_json(path, head.decode(errors="replace").lstrip("\ufeff \t\r\n"))


def _refuse_other_json(path: str, text: str) -> None:
    line = text.partition("\n")[0].strip()
    if text.startswith("[") and not _is_json(line.rstrip(",")) or line.startswith("[{"):
        raise ValueError(
            f"{path} is one JSON array, and one object per line is expected: convert it, for "
            f"example with jq -c '.[]' {path}"
        )
    following = text.partition("\n")[2].lstrip()
    # A line of a brace alone may be one damaged line among good ones: no field follows it then.
    if line == "{" and following.startswith('"'):
        raise ValueError(
            f"{path} has JSON objects of several lines, and one per line is expected: convert it, "
            f"for example with jq -c . {path}"
        )


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
