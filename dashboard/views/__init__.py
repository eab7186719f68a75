"""What pages show, as frames and plain values: `data` and `voting` read the store, the others shape it."""
