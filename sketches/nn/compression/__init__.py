"""Networks in fewer bits, on plain arrays: weights shared through a codebook, coded, and kept in a file."""
