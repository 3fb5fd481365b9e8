"""A committee as large as one machine bears: what it costs, and whether it lives through the death of f members."""
