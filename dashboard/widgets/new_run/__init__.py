"""The parts of New run: files that are dropped, the form, what rows become, what it would take, losses as they come."""
