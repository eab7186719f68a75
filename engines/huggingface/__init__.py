"""Models on transformers: batched decoding with many adapters over one base, on a CPU or a GPU."""
