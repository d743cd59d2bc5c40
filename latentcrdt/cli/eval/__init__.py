"""``latentcrdt eval``: what a merge is worth to the agent that decodes from it."""

from latentcrdt.cli.eval.command import evals

__all__ = ["evals"]
