"""What the page Scores draws: what is said of the figures, two models item by item."""
