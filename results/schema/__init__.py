"""How records become rows: `database` (connections, transactions, locks), `tables`, `columns` and `rows`.

SQLite and PostgreSQL differ here and nowhere else.
"""
