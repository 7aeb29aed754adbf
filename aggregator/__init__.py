"""The arithmetic: operations, IRs, tiles and windows, Avro; no Beam and no I/O."""
