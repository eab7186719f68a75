"""A model's text becomes the program that is run: markup, rules, what makes a program whole."""
