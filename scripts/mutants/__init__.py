"""Plant bugs, one at a time, and see that the suite catches each: `python -m scripts.mutants`."""
