"""One file a revision, numbered. A released one is never edited."""
