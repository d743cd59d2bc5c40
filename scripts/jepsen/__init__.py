"""Server processes under faults, judged by the set-full checker: ``python -m scripts.jepsen``."""
