"""A judging model's verdicts on stored replies, apart from those of rules."""
