"""Training of the reference model (scripts/train_reference_model.py)."""
