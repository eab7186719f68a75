"""The arena's two halves: `pair`, which is voted on, and `standings`, what the votes say."""
