"""Code tasks: asked, answered, run, scored; pass@k."""
