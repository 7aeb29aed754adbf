"""Writes docs/architecture.md from the code: `python docs/make_architecture.py`.

The figure, the list of folders and the answers are read from imports and docstrings. The tests of
the layers read the imports here as well.
"""

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = Path(__file__).with_name("architecture.md")
PACKAGE = "chronon_beam"
ROOMS = ("pipeline", "fetcher", "io", "transforms", "aggregator", "api")
"""The folders of the package, the highest layer first."""

QUESTIONS = {
    "operation": "aggregator/operations/spec.py",
    "serde": "api/serde.py",
    "store": "io/kv_store.py",
    "source": "io/sources.py",
    "late event": "transforms/tiling/life.py",
    "row key": "io/bigtable/cells.py",
    "watermark": "io/kafka/promises.py",
    "isComplete": "transforms/tiling/life.py",
    "trigger": "transforms/tiling/triggers.py",
    "retry": "io/write.py",
    "dead letter": "io/dead_letters/letter.py",
    "batch hop": "aggregator/batch_ir.py",
    "metric": "api/counts.py",
    "runner flag": "pipeline/runners/beam_flags.py",
}
"""Each question of a newcomer, and the one file whose first docstring answers it."""

HEAD = """# Architecture

For those who change the code. `python docs/make_architecture.py` makes this page from the code; a
test fails when the page is stale. [concepts.md](concepts.md) draws the words, and
[extending.md](extending.md) says how to add something.

## Layers

An arrow means "imports". It is left out where other arrows lead to the same folder. `api` and
`aggregator` import neither Beam, nor Spark, nor a client library; a test holds that, and this
order, also for the folders inside.

"""

WAY = """
## The way of an event

`pipeline/job.py` is the job on one page. An event takes this way through it:

1. **Read** (`io/sources.py`) gives `Messages`: a batch of payloads of one partition, with their
   positions, and with what the partition promises about the times of later messages.
2. **Decode** (`transforms/decode.py`) has a serde turn the batch into an Arrow batch. Columns that
   the query does not read are not decoded.
3. **Evaluate** (`transforms/evaluate.py`) has Spark's generated code run the GroupBy's selects and
   wheres on the Arrow batch, over a socket, without a Spark job. A batch that fails is halved until
   the bad event stands alone.
4. **Tile** (`transforms/tiling/tile.py`) splits the rows by pane and by shard of their key. In a
   stateful DoFn per shard and window, `WindowTiles` adds rows to accumulators
   (`aggregator/row.py`), logs what a batch has changed, and gives the tiles to be written. Untiled
   jobs leave this stage out.
5. **Convert** (`transforms/convert.py`) makes `PutRequest`s with Chronon's Avro bytes of tiles or
   rows.
6. **Write** (`io/write.py`) puts them into the store, again and again while the store is down; a
   late event is merged into its stored tile (`io/repair.py`).

Where a live source closes tiles by event time, its promises are made of the times of rows, and are
part of its own state in the runner's checkpoint. So the source must know the times of a batch
before it gives the batch out: its Read does what Decode and Evaluate do, by the same functions
(`transforms/evaluation.py`), and gives rows (`pipeline/reading.py`). Two other ways were rejected.
Later steps could report times to the source: that works only where a runner fuses the steps, and
the source may be split before the report comes. Or the source could evaluate the time column for
itself: then it would be evaluated twice.

Several GroupBys of one job share a reading where they read the same (`pipeline/parts.py`). Then one
step decodes a batch once, and evaluates it for each (`transforms/shared_evaluation.py`), and a live
source makes promises to each of its own times. From Tile on, each has steps of its own.

Every stage takes a batch and gives a batch, failures and counts (`transforms/stage.py`). The
failures of all stages meet in one sink (`io/dead_letters/`). No message disappears: the counts
add up, as `api/counts.py` says.

Features are read by `fetcher/fetch.py`: it asks the store for the tiles of a key that the windows
need at the time of the query, merges their IRs and those of the last upload
(`aggregator/sawtooth.py`), and finalizes them. A job notes in the store what the fetcher must know:
schemas, types and layout (`fetcher/serving_info.py`).

An upload (`pipeline/upload.py`) has the first three steps too. Then `transforms/fold.py` folds all
rows of a key into one batch value, as Chronon's batch job does.
"""


def files() -> dict[str, Path]:
    """The package's files by module name, without the package's own name: `io.files.source`."""
    found = {}
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            found[module.removesuffix(".__init__")] = path
    return found


def imported(path: Path) -> Iterator[str]:
    """The names that a file imports, in full: `from a.b import c` gives `a.b.c`."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                raise ValueError(f"{path}: a relative import; write {PACKAGE}....")
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imports() -> dict[str, set[str]]:
    """Each module of the package with the modules of the package that it imports."""
    modules = files()
    graph: dict[str, set[str]] = {}
    for module, path in modules.items():
        ours = [
            name.removeprefix(f"{PACKAGE}.")
            for name in imported(path)
            if name.startswith(f"{PACKAGE}.")
        ]
        # What is not a module is something inside one.
        graph[module] = {name if name in modules else name.rpartition(".")[0] for name in ours}
    return graph


def folder_imports() -> dict[str, set[str]]:
    """Each folder of the package with the other folders from which its files import."""
    modules = files()
    graph: dict[str, set[str]] = {}
    for module, others in imports().items():
        folder = folder_of(modules[module])
        found = {folder_of(modules[other]) for other in others if other in modules}
        graph[folder] = graph.get(folder, set()) | found - {folder}
    return graph


def folder_of(path: Path) -> str:
    """The folder of a file, from the root: `io/files`."""
    return path.parent.relative_to(ROOT).as_posix()


def without_shortcuts(graph: dict[str, set[str]]) -> dict[str, set[str]]:
    """The arrows of a graph without circles that do not follow from other arrows."""
    reached: dict[str, set[str]] = {}
    for node in TopologicalSorter(graph).static_order():
        below = graph.get(node, set())
        reached[node] = below.union(*(reached[other] for other in below))
    return {
        node: {o for o in below if not any(o in reached[other] for other in below)}
        for node, below in graph.items()
    }


def figure() -> str:
    """A Mermaid flowchart: the rooms, and in each room its inner folders."""
    graph = folder_imports()
    rooms: dict[str, set[str]] = {room: set() for room in ROOMS}
    lines = []
    for folder, others in graph.items():
        room = folder.partition("/")[0]
        rooms[room] |= {other.partition("/")[0] for other in others} & rooms.keys() - {room}
    for room in ROOMS:
        inner = sorted(folder for folder in graph if folder.startswith(f"{room}/"))
        lines.append(f"  subgraph {room}")
        lines += [f'    {_id(folder)}["{folder.partition("/")[2]}"]' for folder in inner]
        lines += [
            f"    {_id(f)} --> {_id(o)}" for f in inner for o in sorted(graph[f]) if o in inner
        ]
        lines += [] if inner else [f'    {room}_files["(no folders inside)"]']
        lines.append("  end")
    for room, others in without_shortcuts(rooms).items():
        lines += [f"  {room} --> {other}" for other in sorted(others)]
    return "\n".join(["```mermaid", "flowchart TD", *lines, "```", ""])


def _id(folder: str) -> str:
    return folder.replace("/", "_")


def docstring(path: str) -> str:
    """The docstring of a file."""
    return ast.get_docstring(ast.parse((ROOT / path).read_text(encoding="utf-8"))) or ""


def first_words(path: str) -> str:
    """The first paragraph of a file's docstring, as one line."""
    return " ".join(docstring(path).split("\n\n")[0].split())


def page() -> str:
    """The whole page."""
    folders = sorted({folder_of(path) for path in files().values()})
    rooms = [f"| `{folder}/` | {first_words(f'{folder}/__init__.py')} |" for folder in folders]
    answers = [
        f"| {question} | [`{path}`](../{path}) | {first_words(path)} |"
        for question, path in QUESTIONS.items()
    ]
    return "\n".join(
        [
            HEAD + figure(),
            "## Folders\n",
            "| folder | what is in it |\n|---|---|",
            *rooms,
            WAY,
            "## Where each question is answered\n",
            "The docstring at the top of the file is the answer; here is how it begins.\n",
            "| what about a ... | file | it begins |\n|---|---|---|",
            *answers,
            "",
        ]
    )


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
