"""What people read: the report and the model card, told from records alone."""
