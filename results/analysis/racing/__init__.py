"""Measuring no more than a decision needs: bets that hold at every look, and the race of models made of them."""
