"""GGUF files: their header, vocabulary and hyperparameters, written and read; PEFT adapters as LoRA-GGUF."""
