"""One run a GPU, each in a process of its own that gives all its memory back."""
