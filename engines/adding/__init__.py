"""Models that were made elsewhere: found at a source, checked, and registered as a model like any other."""
