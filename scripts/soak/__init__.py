"""Two peered servers under load, and what of them grows with it: ``python -m scripts.soak``."""
