"""What this machine has: its GPUs, their memory, and how fast it computes and reads."""
