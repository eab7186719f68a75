"""The checklist: what is true of a model that was made elsewhere, and how it is to be registered."""
