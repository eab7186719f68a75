"""How fast a file answers: first token, tokens a second, memory."""
