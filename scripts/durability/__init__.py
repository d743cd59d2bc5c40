"""``python -m scripts.durability``: what the directory store promises, held against real faults."""
