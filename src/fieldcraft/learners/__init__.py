"""What turns training rows into a model; baselines are learners like any other."""
