"""File forms of a trained model that run without the engine that trained it."""
