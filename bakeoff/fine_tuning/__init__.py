"""The verbs that make fine-tunes, and what they print."""
