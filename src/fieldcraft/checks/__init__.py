"""Checks of data, a split or a model; each module is named after the code of its check."""
