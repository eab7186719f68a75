"""Where a program that a model wrote is run and judged: bubblewrap, seccomp, limits, the two programs inside."""
