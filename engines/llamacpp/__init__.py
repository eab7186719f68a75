"""Models on llama.cpp: its own HTTP server in a child process, one base and its adapters in each."""
