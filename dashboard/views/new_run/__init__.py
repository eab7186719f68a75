"""What New run works with: the experiment file it writes, what a look at the data says, what a plan foretells."""
