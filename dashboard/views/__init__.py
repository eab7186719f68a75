"""What pages show, as frames and plain values: `data` reads the store (the only cached module), the others shape it."""
