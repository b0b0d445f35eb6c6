"""Networks in few bytes: error against the bytes of the whole file, beside the literature."""
