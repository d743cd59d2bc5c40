"""The same bytes everywhere: golden vectors in many environments, each in a process of its own.

`python -m scripts.matrix` prints one table. `probe` is what runs in every environment and knows the
renderer; everything else knows environments only.
"""
