"""What a user sees of a job that goes wrong: the same on Flink as on the embedded runner."""

import os
import re
import subprocess
import sys
from pathlib import Path

from flink_cluster import FlinkCluster
from words import install

HERE = Path(__file__).parent
LOG = "WARNING chronon_beam.io.dead_letters.log: t.words/DeadLetters"
SAID = {
    "bad_expression": ["`prcie` cannot be resolved", "exit 2"],
    "missing_file": ["no file matches", "exit 1"],
    "dead_letters": [
        f"{LOG}0/Keep: dead letter from Decode, ",
        f"{LOG}3/Keep: dead letter from Write, T_WORDS_STREAMING at -1: no room",
        "2 rows, 0 events filtered out, 1 dead letters (Decode 1)",
        "3 requests could not be written",
        "exit 1",
    ],
    # Each window has steps of its own, in stages of their own on Flink.
    "sliding_tiles": ["172 tiles, 0 late events, 172 writes", "exit 0"],
    "breaking_store": [
        "chronon-beam: the job failed: ConnectionError: the store does not answer [while running "
        "'t.words/",
        "exit 1",
    ],
}


def seen(folder: Path, cases: list[str]) -> dict[str, list[str]]:
    """The lines on stderr of each case on each master."""
    install(folder)
    ran = subprocess.run(
        [sys.executable, str(HERE / "words.py"), str(folder), *cases],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(HERE)])},
        capture_output=True,
        text=True,
        timeout=900,
        check=True,
    )
    assert ran.stdout == ""
    parts = [part.splitlines() for part in ran.stderr.split("==== ")[1:]]
    return {lines[0]: lines[1:] for lines in parts}


def alike(lines: list[str]) -> list[str]:
    """Without what differs by the runner's nature: its name, its pace, where its jar is."""
    told = [re.sub(r"\d+\.\d s|on \w+Runner|'t.words/[^']*'", "", line) for line in lines]
    # Spark is started by the first command of a process alone.
    own = r"\[ *\d+ s\]|Flink job server: |starting Spark|Spark is up"
    told = [line for line in told if not re.match(own, line)]
    # How many dead letters one line of the log tells of depends on how they are bundled.
    told = [
        re.sub(r" \(and [\d,]+ more of this kind since the last such line\)", "", line)
        for line in told
    ]
    logged = {line for line in told if LOG in line}
    # Steps fail in any order; the other lines have one.
    return sorted([*logged, *(line for line in told if line not in logged)])


def test_flink_says_what_the_embedded_runner_says(
    tmp_path: Path, flink_cluster: FlinkCluster
) -> None:
    masters = {case: ["direct", "[local]"] for case in SAID}
    # Not the one that fails: a cluster tries it again and again, each time with a new Spark.
    masters["dead_letters"].append(flink_cluster.master)
    found = seen(tmp_path, [f"{case}={','.join(masters[case])}" for case in SAID])
    for case, texts in SAID.items():
        direct, local = found[f"{case} direct"], found[f"{case} [local]"]
        assert all(any(text in line for line in local) for text in texts), local
        assert alike(local) == alike(direct)
    # What a cluster's worker logs is in the log of its machine.
    cluster = found[f"dead_letters {flink_cluster.master}"]
    direct = found["dead_letters direct"]
    assert alike(cluster) == [line for line in alike(direct) if LOG not in line]
    assert "t.words/DeadLetters0/Keep: dead letter from Decode" in flink_cluster.worker_log()
    told = "".join(line for lines in found.values() for line in lines)
    assert "Traceback" not in told
    assert "java." not in told
