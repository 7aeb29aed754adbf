"""Dead letters: what they are, where they are kept, and how they are read again."""
