"""The verbs that weigh what was measured."""
