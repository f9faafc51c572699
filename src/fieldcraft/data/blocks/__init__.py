"""Tables in blocks of rows that are read one by one, so that large ones need not fit in memory."""
