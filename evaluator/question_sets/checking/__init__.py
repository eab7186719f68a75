"""What is checked of replies: rules, what of a reply is its answer, verdicts."""
