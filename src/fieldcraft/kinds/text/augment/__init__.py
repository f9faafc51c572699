"""Ways to make training texts vary: paraphrases, typos, noise on tokens."""
