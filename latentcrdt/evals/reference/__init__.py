"""The reference model: small, trained on plain text of the benchmark, shipped with the package."""

from latentcrdt.evals.reference.loading import CHECKPOINTS, checkpoint_path, load_reference_model

__all__ = ["CHECKPOINTS", "checkpoint_path", "load_reference_model"]
