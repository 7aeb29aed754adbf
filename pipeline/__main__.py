"""`python -m chronon_beam.pipeline` is the `chronon-beam` command."""

import sys

from chronon_beam.pipeline.cli import main

if __name__ == "__main__":
    sys.exit(main())
