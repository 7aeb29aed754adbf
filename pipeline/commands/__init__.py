"""The commands of `chronon-beam`: each file holds one as COMMAND, and is found by its name."""
