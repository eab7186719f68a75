"""Files that other people made, read within bounds: regular files, packed or not, text, JSON, JSON Lines, YAML."""
