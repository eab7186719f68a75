"""A trained model becomes the file that ships, behind the gate that compares the two."""
