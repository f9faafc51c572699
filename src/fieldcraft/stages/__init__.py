"""The steps from a raw table to a model in production; a stage's name is its command."""
