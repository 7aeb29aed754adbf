"""Verifying a store: tiles or rows are made anew from the events, and compared with the stored."""
