"""The Python API: projects, and estimators for scikit-learn."""
