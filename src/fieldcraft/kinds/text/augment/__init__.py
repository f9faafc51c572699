"""Augmentation of training texts: paraphrases, typos and token noise."""
