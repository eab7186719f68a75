"""From a model's text to the program that is run: markup, rules, what makes a program whole."""
