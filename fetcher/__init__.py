"""Reading back: from tiles or rows of a key to the values of its features."""
