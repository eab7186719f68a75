"""The parts of Runs: everything about one run, what a setting did."""
