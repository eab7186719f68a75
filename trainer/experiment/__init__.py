"""The experiment file: what it may say, how it is read, and the variants and sweeps that come of it."""
