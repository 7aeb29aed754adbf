# PYTHON_ARGCOMPLETE_OK: the shell may ask this command for completions.
"""`python -m chronon_beam.pipeline` is the `chronon-beam` command."""

import sys

from chronon_beam.pipeline.entry import main

if __name__ == "__main__":
    sys.exit(main())
