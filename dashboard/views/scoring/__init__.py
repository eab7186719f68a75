"""Scores by test: what is read of the store, and how it is told."""
