"""Networks in fewer bits: sizes, errors and times, beside what is known."""
