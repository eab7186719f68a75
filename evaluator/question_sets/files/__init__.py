"""Question sets out of files: tables, JSON Lines, Parquet, promptfoo, lm-eval."""
