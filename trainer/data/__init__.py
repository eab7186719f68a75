"""Rows become token ids: filtered, split, kept apart from benchmarks, rendered, masked, cached, ordered."""
