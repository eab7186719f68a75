"""Models sent to the Hugging Face Hub, with their card."""
