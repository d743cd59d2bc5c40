"""Agents that think in latent steps, the ways to hand their state on, and what to compare with."""
