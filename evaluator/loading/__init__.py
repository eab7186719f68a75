"""Models made ready to be measured: those of one base together, and the test that they are what they are called."""
