"""`chronon-beam compile`."""

import json
from pathlib import Path

from command_line import Cli

EXAMPLE = Path(__file__).parents[3] / "examples" / "ice_cream" / "group_by.py"


def test_definition_is_printed_as_thrift_json_that_the_other_commands_take(
    chronon_beam: Cli, tmp_path: Path
) -> None:
    ran = chronon_beam("compile", f"{EXAMPLE}:ice_cream_group_by")
    assert (ran.code, ran.err) == (0, "")
    conf = json.loads(ran.out)
    assert conf["metaData"]["name"] == "ice_cream.group_by.ice_cream_group_by"
    assert conf["aggregations"][1] == {
        "inputColumn": "flavor",
        "operation": 3,
        "argMap": {},
        "windows": [{"length": 6, "timeUnit": 0}],
    }
    compiled = tmp_path / "compiled"
    compiled.write_text(ran.out)
    plans = [chronon_beam("plan", f"--group_by={file}").out for file in (EXAMPLE, compiled)]
    assert plans[0] == plans[1] != ""


def test_what_chronons_compiler_objects_to_is_reported_beside_it(
    chronon_beam: Cli, tmp_path: Path
) -> None:
    file = tmp_path / "own.py"
    file.write_text(
        "from ai.chronon.types import *\n"
        "v1 = GroupBy(EventSource('t', Query(time_column='t')), ['k'], [Aggregation('n')])\n"
    )
    ran = chronon_beam("compile", str(file), "--dialect=zipline")
    assert ran.code == 0
    assert "needs a start_partition" in ran.err
    assert list(json.loads(ran.out)) == sorted(json.loads(ran.out))


def test_file_that_is_compiled_already_is_refused(chronon_beam: Cli, tmp_path: Path) -> None:
    file = tmp_path / "compiled.json"
    file.write_text("{}")
    ran = chronon_beam("compile", str(file))
    assert ran.code == 2
    assert "a Python file is expected" in ran.err
