"""The arithmetic: operations, tiles, windows, Avro codecs. No Beam, no I/O."""
