"""The page of `chronon-beam inspect`: how the value of a feature comes from the stored bytes."""
