"""How far each repair brings a merge towards a prefill of everything, and what it costs."""
