"""Talking to models, without a page: the model server's `client`, a `conversation` of panes, a blind `duel`."""
