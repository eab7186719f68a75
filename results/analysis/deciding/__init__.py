"""Which model to ship: a question, its verdict, the words for both, and the record of what was decided."""
