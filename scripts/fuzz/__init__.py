"""Inputs that nobody would think of: ``python -m scripts.fuzz``."""
