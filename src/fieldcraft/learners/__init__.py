"""Learners, which fit a model to training rows; baselines are learners like any other."""
