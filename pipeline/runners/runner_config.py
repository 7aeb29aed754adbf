"""`--runner_config`: flags from a YAML file, either one of this package or the user's own."""

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

import chronon_beam.runner_configs as runner_configs
from chronon_beam.pipeline.options import UsageError
from chronon_beam.pipeline.runners.beam_flags import known

_STREAMING = (
    "shards",
    "trigger",
    "layout",
    "tiling",
    "late",
    "allowed_lateness_ms",
    "max_out_of_orderness_ms",
    "idle_ms",
    "latency",
)
OURS = (*_STREAMING, "dead_letters")
"""Our own flags that a config may set, besides Beam's."""


def names() -> list[str]:
    """The configs that come with the package."""
    return sorted(path.stem for path in _folder().glob("*.yaml"))


def _folder() -> Path:
    return Path(next(iter(runner_configs.__path__)))


def config_flags(name_or_path: str) -> list[str]:
    """The flags in a config; those of the command line go after them and win.

    Raises:
        UsageError: there is no such file, it is no mapping of flags, or a key is no flag.
    """
    settings = _read(name_or_path)
    runner = str(settings.get("runner", "DirectRunner"))
    allowed = ["runner", *OURS, *(flag.removeprefix("--") for flag in known(runner))]
    for key in settings:
        if key not in allowed:
            near = difflib.get_close_matches(str(key), allowed, n=1)
            hint = f": did you mean {near[0]!r}?" if near else ""
            raise UsageError(f"--runner_config={name_or_path}: unknown key {key!r}{hint}")
    return [flag for key, value in settings.items() for flag in _flags(key, value)]


def _read(name_or_path: str) -> dict[str, Any]:
    given = Path(name_or_path)
    path = given if given.suffix in (".yaml", ".yml") else _folder() / f"{name_or_path}.yaml"
    if not path.is_file():
        raise UsageError(
            f"--runner_config={name_or_path}: no such file: give the path of a YAML file, or one "
            f"of {', '.join(names())}"
        )
    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise UsageError(f"--runner_config={name_or_path}: not YAML: {error}") from error
    if not isinstance(settings, dict):
        raise UsageError(f"--runner_config={name_or_path}: flags as `name: value` are expected")
    return settings


def _flags(name: str, value: Any) -> list[str]:
    """Booleans are bare flags: the job server refuses `--flag=true`."""
    if isinstance(value, bool):
        return [f"--{name}"] if value else []
    return [f"--{name}={value}"]


def with_config(argv: Sequence[str]) -> list[str]:
    """The command line with the flags of `--runner_config`, before the user's flags, which win.

    >>> with_config(["run", "--store=null:"])
    ['run', '--store=null:']
    """
    config: list[str] = []
    given: list[str] = []
    words = iter(argv)
    for word in words:
        name, equals, value = word.partition("=")
        if name != "--runner_config":
            given.append(word)
            continue
        chosen = value if equals else next(words, "")
        config += config_flags(chosen)
    if given[:1] == ["upload"]:
        # An upload has no flags for streaming.
        config = [flag for flag in config if flag[2:].partition("=")[0] not in _STREAMING]
    return [*given[:1], *config, *given[1:]]
