"""What every way to train keeps of a run: checkpoints, its place in the store, signals, what it is told apart by."""
