"""What pages show of runs: the table, and which of them may be held against each other."""
