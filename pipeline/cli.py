"""The `chronon-beam` command: finds the command that is named, runs it, and returns its exit code.

Each command is a file of `pipeline/commands`. `pipeline/command.py` has the exit codes.
"""

import argparse
import logging
import os
import pkgutil
import sqlite3
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, NoReturn

import argcomplete

from chronon_beam.api.group_by import GroupByError
from chronon_beam.pipeline import commands
from chronon_beam.pipeline.command import DONE, FAILED, WRONG_USE, Command, CommandGroup
from chronon_beam.pipeline.interrupt import MESSAGE, STOPPED, has_come
from chronon_beam.pipeline.options import UsageError, nearest
from chronon_beam.transforms.spark.quick_start import start

_LOG_FORMAT = "%(levelname)s %(name)s: %(message)s"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code.

    Args:
        argv: the words after `chronon-beam`; those of this process by default.
    """
    _log_to_stderr()
    try:
        return _run(sys.argv[1:] if argv is None else argv)
    except BrokenPipeError:
        # The reader of the output, such as `head`, has closed it. Writing the rest at exit must not
        # fail.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except KeyboardInterrupt:
        return _stopped()
    except (GroupByError, UsageError, ValueError, ImportError) as error:
        return _stopped() if has_come() else _complain(str(error), WRONG_USE)
    except (RuntimeError, OSError, sqlite3.Error) as error:
        return _stopped() if has_come() else _complain(str(error), FAILED)


def _run(argv: Sequence[str]) -> int:
    parser = _parser()
    argcomplete.autocomplete(parser)
    arguments, unknown = parser.parse_known_args(_with_runner_config(argv))
    command: Command = arguments.command
    if unknown and not command.takes_beam_flags:
        arguments.parser.error(f"unknown argument {unknown[0]!r}")
    start.short, start.makes_archive = command.short, True
    return command.run(arguments, unknown)


def _log_to_stderr() -> None:
    """Log warnings of this package and errors of libraries, or what CHRONON_BEAM_LOG says."""
    asked = os.environ.get("CHRONON_BEAM_LOG")
    logging.basicConfig(level=asked or "ERROR", format=_LOG_FORMAT)
    logging.getLogger("chronon_beam").setLevel(asked or "WARNING")
    logging.getLogger("py4j").addFilter(_is_no_interrupt)
    for handler in logging.getLogger().handlers:
        handler.addFilter(_is_no_interrupt)
    _print_spark_start()
    if not asked:
        # gRPC prints an error when a connection ends; the command prints what that means.
        os.environ.setdefault("GRPC_VERBOSITY", "ERROR")


def _is_no_interrupt(record: logging.LogRecord) -> bool:
    """Whether a record is not Py4J's trace of a Ctrl-C: Py4J logs it, and raises it as well."""
    return not (record.exc_info and isinstance(record.exc_info[1], KeyboardInterrupt))


def _print_spark_start() -> None:
    """Print that Spark starts, and how long that took, because users wait for it."""
    log = logging.getLogger("chronon_beam.transforms.spark.session")
    if log.level == logging.NOTSET:
        printer = logging.StreamHandler(_Stderr())
        printer.setFormatter(logging.Formatter("%(message)s"))
        log.addHandler(printer)
        log.setLevel(logging.INFO)
        log.propagate = False


class _Stderr:
    """Writes to what `sys.stderr` is at that moment, since tests and notebooks replace it."""

    def write(self, text: str) -> None:
        sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


def _with_runner_config(argv: Sequence[str]) -> list[str]:
    if not any(word.startswith("--runner_config") for word in argv):
        return list(argv)
    # Imported here because it asks Beam for its flags.
    from chronon_beam.pipeline.runners.runner_config import with_config

    return with_config(argv)


def _stopped() -> int:
    print(MESSAGE, file=sys.stderr)
    return STOPPED


def _complain(message: str, code: int) -> int:
    print(f"chronon-beam: {message}", file=sys.stderr)
    return code


def commands_by_name() -> dict[str, Command | CommandGroup]:
    """The commands that the files of `pipeline/commands` hold, by the name of the file."""
    names = [module.name for module in pkgutil.iter_modules(commands.__path__)]
    return {name: import_module(f"{commands.__name__}.{name}").COMMAND for name in names}


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="chronon-beam",
        description="Chronon GroupBys as a Beam pipeline: events in, fresh features out.",
        epilog="Begin with your own file: chronon-beam init FILE",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=_PrintVersion, nargs=0, help="print the version")
    _add(parser, commands_by_name())
    return parser


def _add(parser: argparse.ArgumentParser, commands: Mapping[str, Command | CommandGroup]) -> None:
    """Add commands to the parser of the words before them."""
    added = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, command in commands.items():
        one = added.add_parser(
            name,
            help=command.summary,
            description=f"{command.summary[0].upper()}{command.summary[1:]}.",
            epilog=command.example,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        if isinstance(command, CommandGroup):
            _add(one, command.commands)
        else:
            command.add_flags(one)
            one.set_defaults(command=command, parser=one)


class _PrintVersion(argparse.Action):
    """Looks up the version only when `--version` is given: that takes as long as all imports."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> NoReturn:
        from importlib.metadata import version

        print(f"{parser.prog} {version('chronon-beam')}")
        parser.exit()


class _Parser(argparse.ArgumentParser):
    """A parser whose errors name the flag that a misspelt flag is nearest to."""

    _given: Sequence[str] = ()

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        self._given = sys.argv[1:] if args is None else args
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        given = [word.split("=", 1)[0] for word in self._given if word.startswith("--")]
        known = self._option_string_actions
        hints = [
            f": {flag}: did you mean {near}?"
            for flag in given
            if flag not in known and (near := nearest(flag, list(known)))
        ]
        super().error(message + "".join(hints[:1]))
