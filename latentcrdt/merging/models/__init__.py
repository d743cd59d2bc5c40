"""Two models of one architecture, merged: their hidden states while they run, or their weights."""

from latentcrdt.merging.models.latent import latent_merge
from latentcrdt.merging.models.weights import merge_weights

__all__ = ["latent_merge", "merge_weights"]
