"""From a trained model to the file that ships, behind the gate that compares the two."""
