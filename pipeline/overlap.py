"""Refuses a command whose output is one of its inputs, or another of its outputs.

The files are compared, not the texts that name them: a link, a relative path, a pattern and a
folder may all name the same file. An output that does not exist yet is compared too: a pattern that
matches it would read it later.
"""

import os
from collections.abc import Callable, Sequence
from itertools import combinations
from typing import NamedTuple

from chronon_beam.api.load import file_of
from chronon_beam.io.dead_letters.sinks import open_dead_letters
from chronon_beam.io.files.identity import is_same
from chronon_beam.io.kv_store import KVStore
from chronon_beam.io.sources import open_source
from chronon_beam.pipeline.options import UsageError


class Input(NamedTuple):
    """What a command reads.

    Attributes:
        flag: the flag and its value, as the user has given them.
        takes: of some paths of local files, gives those that the input reads, or would read if
            there were such a file.
    """

    flag: str
    takes: Callable[[Sequence[str]], list[str]]


class Output(NamedTuple):
    """What a command writes.

    Attributes:
        flag: the flag and its value, as the user has given them.
        files: the paths of local files, which need not exist yet.
    """

    flag: str
    files: Sequence[str]


def refuse_overlap(inputs: Sequence[Input], outputs: Sequence[Output]) -> None:
    """Raise UsageError if an output is an input, or two outputs are one file."""
    for output in outputs:
        for each in inputs:
            _refuse(output, each)
    for output, other in combinations(outputs, 2):
        _refuse(output, Input(other.flag, _same_as(other.files)))


def inputs_of(group_by: str, source: str | None) -> list[Input]:
    """The inputs of a command by its flags; a GroupBy's own topic is not a file."""
    inputs = [Input(f"--group_by={group_by}", _same_as([str(file_of(group_by))]))]
    if source is not None:
        inputs.append(Input(f"--source={source}", open_source(source).takes))
    return inputs


def outputs_of(uri: str | None, store: KVStore | None, dead_letters: str | None) -> list[Output]:
    """The outputs of a command by its flags.

    Args:
        uri: the URI of the store.
        store: the store that `uri` names.
        dead_letters: the URI of the sink of dead letters.
    """
    outputs: list[Output] = []
    if dead_letters is not None:
        files = open_dead_letters(dead_letters).files()
        outputs.append(Output(f"--dead_letters={dead_letters}", files))
    if store is not None:
        outputs.append(Output(f"--store={uri}", store.files()))
    return outputs


def standard_output() -> Output:
    """Standard output as an output, since the shell may have sent it to a file."""
    place = "/dev/stdout"
    return Output("standard output", [place] if os.path.exists(place) else [])


def _same_as(files: Sequence[str]) -> Callable[[Sequence[str]], list[str]]:
    return lambda paths: [path for path in paths if any(is_same(path, file) for file in files)]


def _refuse(output: Output, other: Input) -> None:
    for path in other.takes(output.files):
        raise UsageError(
            f"{output.flag}: {path} is also named by {other.flag}, now or once it is made: what is "
            "written there would destroy it, or be read as input: write to a file elsewhere"
        )
