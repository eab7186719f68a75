"""The models that are fine-tuned: what is known of each, loaded and quantized; miniatures of them."""
