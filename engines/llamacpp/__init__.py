"""Models on llama.cpp: its HTTP server in a child process, one base and its adapters in each; and the one of 2023."""
