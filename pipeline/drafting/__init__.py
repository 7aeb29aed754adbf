"""A first GroupBy for the events of a file, guessed from its columns: see `draft`."""
