"""Where tables come from: forms of file, archives, folders and databases, one module each."""
