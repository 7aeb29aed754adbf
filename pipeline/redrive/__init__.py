"""Redriving: dead letters enter their job again at the stage where they fell; see `redriving`."""
