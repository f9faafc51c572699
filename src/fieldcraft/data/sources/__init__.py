"""Sources of tables: file formats, archives, folders and databases, one module each."""
