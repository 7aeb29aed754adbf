"""What values of other formats are in Arrow columns: pure functions, for sources and serdes."""
