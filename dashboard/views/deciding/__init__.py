"""What a decision says: the verdict in words and facts, its record."""
