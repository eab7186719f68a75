"""Distributions that single intervals come from: means of values in [0, 1], and percentiles."""
