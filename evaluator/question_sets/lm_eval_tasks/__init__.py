"""Tasks of lm-evaluation-harness: its prompts, filters and metrics over our engines and into our store."""
