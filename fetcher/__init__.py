"""Reading back: from stored tiles or rows to feature values."""
