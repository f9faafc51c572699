"""What may be wrong with data, a split, a model or traffic. One file each, named by its code."""
