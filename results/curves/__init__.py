"""Curves: the points of training runs, in segments with min/max levels, and the writer that never stops a training.

`curves` is `store.curves`; `segments` and `levels` are how points are kept; `writer` and `spool` deliver them.
"""
