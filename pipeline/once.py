"""A second `--group_by` is an error where a command takes one: argparse would take the last."""

import argparse


class Once(argparse.Action):
    """Stores the value of `--group_by`, and refuses a second one."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        """Called by argparse each time the flag is given."""
        if getattr(namespace, self.dest, None) is not None:
            parser.error(
                f"{option_string}: this command takes one GroupBy: call it for each; several in "
                "one job are for `chronon-beam run` and `plan`"
            )
        setattr(namespace, self.dest, values)
