"""What needs no program run: held-out loss, stopping, a judging model."""
