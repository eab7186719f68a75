"""The store: one database, one collection for each noun.

`store` opens it; a module for each noun (`runs`, `models`, `evaluations`, `votes`, …) reads and writes its records.
Outside this room: `from results import Store`.
"""
