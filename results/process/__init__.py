"""This process and the machine under it: what it belongs to, what the operating system gives."""
