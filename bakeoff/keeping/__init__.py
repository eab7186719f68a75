"""The verbs of what is kept: runs, models, the store itself, results from elsewhere."""
