"""Runs over a Ray cluster: plain tasks, whose state is in the checkpoints and in the store and nowhere in Ray."""
