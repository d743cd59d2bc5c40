"""Blending latent states: branches of one cache, hidden states of two models, and weights."""
