"""The parts of Decide: the limits, the verdict card, the record and what was frozen."""
