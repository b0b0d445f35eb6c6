"""Networks in fewer bits, on plain arrays: weights shared through a codebook, and codes for their indices."""
