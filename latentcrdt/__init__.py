"""latentcrdt: a replicated store of transformer latent state.

Agents push content-addressed KV-cache fragments; every replica converges to the same grow-only set;
any replica, or the client itself, renders the set to the same bytes.
"""

from latentcrdt.core.fragment import Fragment
from latentcrdt.core.rendered import Render
from latentcrdt.core.state import LatentState

__all__ = ["Fragment", "LatentState", "Render"]
