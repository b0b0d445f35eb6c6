"""Networks in few bits: weights that are shared, coded, and kept in a file."""
