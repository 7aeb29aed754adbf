"""What a command of `chronon-beam` consists of; each file of `pipeline/commands` holds one."""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from shlex import quote

from chronon_beam.pipeline.options import UsageError

DONE, FAILED, WRONG_USE = 0, 1, 2
"""Exit codes: done; the job or check failed; the command is used wrongly. See also `STOPPED`."""


@dataclass(frozen=True)
class Command:
    """One command of `chronon-beam`; its name is the name of its file.

    The modules that a command's work needs are imported by `run`, not by the command's file:
    `--help` must not wait for Beam and Spark.

    Attributes:
        summary: what the command does, for the list of all commands.
        example: what `--help` shows below the flags.
        add_flags: declares the command's flags.
        run: takes the parsed flags and those that the parser does not know; returns an exit code.
        takes_beam_flags: whether flags that the parser does not know may be Beam's.
        short: whether the command takes seconds: then Spark is set to start quickly rather than to
            run fast.
    """

    summary: str
    example: str
    add_flags: Callable[[ArgumentParser], None]
    run: Callable[[Namespace, list[str]], int]
    takes_beam_flags: bool = False
    short: bool = False


@dataclass(frozen=True)
class CommandGroup:
    """Several commands under one name, as `chronon-beam jobs list` is one of `jobs`.

    Attributes:
        summary: what the commands are for, for the list of all commands.
        example: what `--help` shows below their list.
        commands: the commands by their names.
    """

    summary: str
    example: str
    commands: Mapping[str, Command]


def require_packages(extra: str, *names: str) -> None:
    """Raise UsageError if one of these packages, which `extra` installs, is not there."""
    missing = next((name for name in names if find_spec(name) is None), None)
    if missing is not None:
        raise UsageError(
            f"{missing} is missing: install it with: pip install 'chronon-beam[{extra}]'"
        )


def next_steps(arguments: Namespace, keys: Sequence[str]) -> str:
    """How to look at a value that a command has written, for its user.

    Args:
        arguments: the flags of the command.
        keys: the key columns of the GroupBy.
    """
    wanted = " ".join(f"--key {name}=..." for name in keys)
    return (
        f"Look at a value: chronon-beam fetch --group_by {quote(arguments.group_by)} "
        f"--store {quote(arguments.store)} {wanted}\n"
        "(features are as of now; --at TIME gives those of another time)"
    )
