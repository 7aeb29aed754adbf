"""Ctrl-C: whenever it comes, the command says "stopped" and exits with code 130."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
from command_line import EVENTS, ICE_CREAM

from chronon_beam.pipeline.interrupt import on_interrupt, undisturbed_exits

COMMAND = """
import os, signal, sys

class Impatient:
    def find_spec(self, name, *_):
        if name == {module!r}:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Impatient())
sys.argv = ["chronon-beam", *{argv!r}]
from chronon_beam.pipeline.entry import main
sys.exit(main())
"""
"""The command, with a Ctrl-C at the moment at which a module is imported."""

AFTERWARDS = """
import os, signal, sys
from chronon_beam.pipeline import cli, entry
cli.main = lambda: {act}
code = entry.main()
os.kill(os.getpid(), signal.SIGINT)
sys.exit(code)
"""
"""A command that has done something, and a Ctrl-C while its process ends."""


def program(text: str, **how: object) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-c", text],
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
        **how,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("module", "argv"),
    [
        ("chronon_beam.pipeline.cli", ["--version"]),
        ("argparse", ["--help"]),
        ("argcomplete", ["fetch", "--help"]),
        ("chronon_beam.pipeline.commands.trace", ["run", "--help"]),
        ("pyarrow", ["init", "events.csv"]),
        ("numpy", ["init", "events.csv"]),
        ("apache_beam", ["trace", ICE_CREAM, EVENTS]),
        ("pyspark", ["plan", ICE_CREAM, EVENTS]),
        ("py4j.java_gateway", ["plan", ICE_CREAM, EVENTS]),
    ],
)
def test_while_modules_are_imported(module: str, argv: list[str]) -> None:
    ran = program(COMMAND.format(module=module, argv=argv))
    assert ran == (130, "", "chronon-beam: stopped\n")


def test_error_that_a_library_makes_of_it_is_not_told() -> None:
    act = "_turned()"
    turned = (
        "def _turned():\n"
        "    from chronon_beam.pipeline import cli\n"
        "    try:\n        os.kill(os.getpid(), signal.SIGINT)\n        signal.pause()\n"
        "    except KeyboardInterrupt:\n        raise ImportError('half a module') from None\n"
    )
    run = "import chronon_beam.pipeline.cli as c; c._run = lambda _: _turned()\n"
    text = AFTERWARDS.replace("cli.main = lambda: {act}\n", f"{turned}{run}")
    assert act in text
    assert program(text) == (130, "", "chronon-beam: stopped\n")


def test_second_one_does_not_disturb_the_end_of_a_stopped_process() -> None:
    act = "os.kill(os.getpid(), signal.SIGINT) or signal.pause()"
    assert program(AFTERWARDS.format(act=act)) == (130, "", "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_signals_that_end_a_process_do_the_same(number: int) -> None:
    act = f"os.kill(os.getpid(), {int(number)}) or signal.pause()"
    assert program(AFTERWARDS.format(act=act)) == (130, "", "")


def test_contexts_exit_undisturbed() -> None:
    before, exited = signal.getsignal(signal.SIGINT), []

    def stopped_twice() -> None:
        with undisturbed_exits() as opened:
            opened.callback(exited.append, "outer")
            opened.callback(os.kill, os.getpid(), signal.SIGINT)
            opened.callback(exited.append, "inner")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped_twice()
    assert exited == ["inner", "outer"]
    assert signal.getsignal(signal.SIGINT) == before


def test_process_that_ends_slowly_can_be_stopped() -> None:
    assert program(AFTERWARDS.format(act="0")) == (130, "", "chronon-beam: stopped\n")


def test_process_that_was_started_to_ignore_it_does() -> None:
    ignored = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_IGN)}
    assert program(AFTERWARDS.format(act="0"), **ignored) == (0, "", "")


@pytest.fixture
def handlers() -> Iterator[None]:
    """What this process does at each signal is afterwards as before: later tests inherit it."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("handlers")
def test_handler_of_this_process_is_kept_where_none_is_asked_for() -> None:
    on_interrupt(signal.SIG_IGN)
    on_interrupt(signal.default_int_handler)
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
