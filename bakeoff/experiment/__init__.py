"""An experiment from its file to its summary, through all rooms."""
