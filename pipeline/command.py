"""What a command of `chronon-beam` consists of; each file of `pipeline/commands` holds one."""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from shlex import quote

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
        short: whether it works for seconds: then Spark starts quickly rather than running fast.
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


def next_steps(arguments: Namespace, keys: Sequence[str]) -> str:
    """Tells the user of a command that has written values how to look at one of them."""
    wanted = " ".join(f"--key {name}=..." for name in keys)
    return (
        f"Look at a value: chronon-beam fetch --group_by {quote(arguments.group_by)} "
        f"--store {quote(arguments.store)} {wanted}\n"
        "(features are as of now; --at TIME gives those of another time)"
    )
