"""The parts of Home: the table, what a row opens, what is under way."""
