"""Several LoRA adapters trained over one base in one pass, on a CPU."""
